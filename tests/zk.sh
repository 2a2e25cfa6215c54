#!/usr/bin/env bash
# zk.sh - throw-away ZooKeeper servers for client tests and benchmarks.
# Needs bash, java 11+, openssl, Debian's apt-get and dpkg-deb; pip for 3.6 and 3.9.5; iproute2 and root for --netns.
# shellcheck disable=SC1091,SC2001,SC2016,SC2206
set -euo pipefail

usage() { cat <<'USAGE'
usage: zk.sh VERB [ARGS]
  install [VERSION]       fetch the jars (3.8, 3.9: Debian, 6 and 16 MB; 3.6, 3.9.5: pyspark on PyPI, 318 and 456 MB),
                          or with 'curator' those of the client and of a compiler (Debian, 5 MB)
  start standalone|ensemble [OPTIONS]     start with empty data, wait, print the connect string
      --version V         3.8 (default), 3.9, 3.9.5 or 3.6  --servers N   ensemble size (3)
      --port BASE         first client port (21810), 0: pick a free block; uses BASE.. for clients,
                          BASE+10.. for TLS, BASE+20.. for the quorum, BASE+30.. for elections
      --tick MS           tickTime (200); sessions last from 2 ticks to 60 s
      --tls               TLS ports as well, with an own CA; clients must show a certificate
                          (servers' defaults: 3.6 and 3.8 speak TLS 1.2 only, 3.9 speaks 1.3 only)
      --sasl              SASL DIGEST-MD5 users as well
      --read-only         read-only mode when the quorum is lost (turns on local sessions, which it needs)
      --netns             each server in a network namespace of its own (root); clients run under 'exec'
      --cfg KEY=VALUE     zoo.cfg line (repeatable; the last one wins), for example ssl.clientAuth=none
                          or sessionRequireClientSASLAuth=true
  stop                    kill the servers, keep data and logs      clean   and delete everything
  status                  address, pid, state and mode of each      leader  the number of the leader
  wait [SECONDS [N..]]    until all (or these) servers serve
  kill|pause|resume N     SIGKILL, SIGSTOP, SIGCONT to server N (from 1), or to 'all'
  restart N|all           stop it if it runs, start it again with its data, wait
  partition N [peers|clients|all]   with --netns: drop server N's packets;    heal N   undo it
  4lw N CMD               send a four-letter word: ruok srvr mntr cons dump wchs wchp wchc ...
  expire 0xSESSION [N]    end a session through server N (1); its client then sees 'session expired'
  env                     shell exports: connect strings, certificates, users
  exec CMD...             run CMD with them (and in the clients' namespace)
environment:
  ZK_HOME_DIR   state of one set of servers; parallel runs need one each, and --port (default in /dev/shm)
  ZK_CACHE_DIR  jars (default ~/.cache/zk-servers)
  ZK_JVM_OPTS   more JVM options, for benchmarks "-Xmx1g -XX:TieredStopAtLevel=4"
USAGE
}

shm=/dev/shm; [[ -w $shm ]] || shm=${TMPDIR:-/tmp}
ZK_HOME_DIR=${ZK_HOME_DIR:-$shm/zk-$(id -u)}
ZK_CACHE_DIR=${ZK_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/zk-servers}
CLAIMS=$shm/zk-ports-$(id -u) # a file for each block of ports, with the home that has it
JAVA=${JAVA_HOME:+$JAVA_HOME/bin/}java
SUPER=super:super-secret SASL_USERS=(alice:alice-secret bob:bob-secret)

die() { echo "zk.sh: $*" >&2; exit 1; }

# ---- jars ------------------------------------------------------------------------------------
debian() { # the system's Debian repositories as apt knows them: lines "SUITE URI"
  apt-get indextargets --format '$(CODENAME) $(REPO_URI)' 'Created-By: Packages' 'Label: Debian' 'Component: main'; }
deb_jars() { # deb_jars DEST SUITE PACKAGE.. -- JAR..: copy jars out of packages (of any SUITE if ''), installing none
  local dest=$1 suite=$2 tmp pkgs=() apt=(apt-get -qq -o APT::Sandbox::User=root); shift 2
  while [[ $1 != -- ]]; do pkgs+=("$1${suite:+/$suite}"); shift; done; shift; tmp=$(mktemp -d)
  [[ $(debian) ]] || apt-get -qq update
  if [[ $'\n'$(debian) != *$'\n'"${suite:+$suite }"* ]]; then # from the same mirror, but past the system's lists
    local keys=(/usr/share/keyrings/debian-archive-keyring.[gp]*); mkdir "$tmp/lists"
    echo "deb [target=Packages signed-by=${keys[0]}] $(debian | sed -n '1s/.* //p') $suite main" >"$tmp/sources"
    printf '%s;\n' "Dir::Etc::sourcelist \"$tmp/sources\"" "Dir::State::lists \"$tmp/lists\"" '#clear APT::Update' \
      'Dir::Etc::sourceparts "-"' 'APT::Default-Release ""' 'Dir::Cache::'{src,}'pkgcache ""' >"$tmp/conf"
    apt+=(-c "$tmp/conf")
  fi
  (cd "$tmp"
   "${apt[@]}" download "${pkgs[@]}" 2>err || { "${apt[@]}" update && "${apt[@]}" download "${pkgs[@]}"; } || exit
   for f in ./*.deb; do dpkg-deb -x "$f" root; done
   cd root/usr/share/java; cp -L "${@/%/.jar}" "$dest/") || die "cannot get ${pkgs[*]}"
  rm -rf "$tmp"
}
pyspark_jars() { # pyspark_jars DEST RELEASE: copy the server's jars out of PySpark's source package
  local tmp j pats=(); tmp=$(mktemp -d)
  TMPDIR=$tmp python3 -m pip -q --disable-pip-version-check download --no-deps --no-cache-dir \
    -d "$tmp" "pyspark==$2" >&2 || die "pip cannot get pyspark $2"
  for j in zookeeper-3 zookeeper-jute snappy-java metrics-core netty-{buffer,codec,common,handler,resolver}-4 \
    netty-codec-base netty-transport-{4,classes-epoll,native-unix}; do pats+=("*/jars/$j*.jar"); done
  tar -xzf "$tmp"/pyspark-*.tar.gz -C "$1" --strip-components=3 --no-same-owner --wildcards "${pats[@]}" \
    2>"$tmp/err" || true # tar fails for a pattern without a match: netty 4.1 has no codec-base
  compgen -G "$1/zookeeper-3*.jar" >/dev/null || die "no zookeeper in pyspark $2: $(cat "$tmp/err")"
  rm -rf "$tmp"
  deb_jars "$1" '' libslf4j-java -- slf4j-api slf4j-simple
}
debian_jars() { # debian_jars DEST SUITE; slf4j-simple: the servers start 0.5 s faster than with log4j2
  deb_jars "$1" "$2" libzookeeper-java libnetty-java libsnappy-java libdropwizard-metrics-java \
    libcommons-io-java libslf4j-java -- slf4j-api slf4j-simple zookeeper zookeeper-jute snappy-java metrics-core \
    commons-io netty-{buffer,codec,common,handler,resolver,transport,transport-native-{epoll,unix-common}}; }
curator_jars() { # curator_jars DEST: Curator 5.4.0, which runs with the jars of 3.8, and a compiler
  deb_jars "$1" bookworm libcurator-{recipes,framework,client}-java libguava-java libecj-java -- \
    curator-{recipes,framework,client} guava ecj; }
install_version() {
  local dest=$ZK_CACHE_DIR/$1 new=$ZK_CACHE_DIR/.new-$1
  [[ $1 =~ ^(3\.(6|8|9|9\.5)|curator)$ ]] || die "version '$1' is none of 3.8, 3.9, 3.9.5, 3.6"
  command -v "$JAVA" >/dev/null || die "no java: apt-get install -y openjdk-17-jre-headless"
  mkdir -p "$ZK_CACHE_DIR"
  ( flock 9; [[ ! -e $dest ]] || exit 0
    rm -rf "$new"; mkdir "$new"
    case $1 in
      3.6) pyspark_jars "$new" 3.5.9 ;; 3.9.5) pyspark_jars "$new" 4.3.0 ;; # ZooKeeper 3.6.3, 3.9.5
      3.8) debian_jars "$new" bookworm ;; 3.9) debian_jars "$new" trixie ;; # ZooKeeper 3.8.0, 3.9.3
      curator) curator_jars "$new" ;;
    esac
    mv "$new" "$dest" ) 9>"$ZK_CACHE_DIR/.lock"
}

# ---- state and addresses ---------------------------------------------------------------------
load() { [[ -e $ZK_HOME_DIR/settings ]] || die "nothing was started in $ZK_HOME_DIR"
  . "$ZK_HOME_DIR/settings"; }
pick() { # the server numbers that the arguments name
  [[ ${1:-all} != all ]] || { seq "$N"; return; }
  local i; for i; do if [[ ! $i =~ ^[1-9]$ ]] || ((i > N)); then die "no server '$i' (1..$N)"; fi; echo "$i"; done; }
addr() { if [[ $NETNS ]]; then echo "10.77.0.$1"; else echo 127.0.0.1; fi; }
port() { echo $((PORT + $1 - 1 + ${2:-0})); }
connect() { local i s=; for i in $(seq "$N"); do s+=,$(addr "$i"):$(port "$i" "$1"); done; echo "${s#,}"; }
in_ns() { if [[ $NETNS ]]; then ip netns exec "$NETNS" "$@"; else "$@"; fi; }
pid() { # server N's pid, if it is alive and still the process that was started
  local p; p=$(cat "$ZK_HOME_DIR/$1/pid" 2>/dev/null) &&
  grep -qsF "$ZK_HOME_DIR/$1/zoo.cfg" "/proc/$p/cmdline" && echo "$p"; }
signal() { local p; ! p=$(pid "$2") || kill "-$1" "$p"; }
gone() { # wait until server N's process has ended with all its threads, and so its ports are free
  local p c tasks _; p=$(cat "$ZK_HOME_DIR/$1/pid")
  for _ in {1..300}; do
    c=$({ tr '\0' ' ' <"/proc/$p/cmdline"; } 2>/dev/null) || return 0
    tasks=(/proc/"$p"/task/*)
    if [[ $c ]]; then [[ $c == *"$ZK_HOME_DIR/$1/zoo.cfg"* ]] || return 0 # the pid is someone else's by now
    elif ((${#tasks[@]} == 1)) && grep -qs '^State:.*zombie' "/proc/$p/status"; then return 0; fi
    sleep 0.02
  done; die "server $1 does not end"
}
fourlw() {
  in_ns timeout "${3:-2}" bash -c 'exec 3<>"/dev/tcp/$0/$1" && printf %s "$2" >&3 && cat <&3' \
    "$(addr "$1")" "$(port "$1")" "$2" 2>/dev/null; }
mode() { fourlw "$1" srvr 0.5 | sed -n 's/^Mode: //p' || true; }

# ---- configuration ---------------------------------------------------------------------------
write_tls() {
  local d=$ZK_HOME_DIR/tls who i san=DNS:localhost,IP:127.0.0.1
  local new=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)
  for i in $(seq "$N"); do san+=,IP:10.77.0.$i; done
  mkdir -p "$d"
  { openssl req -x509 "${new[@]}" -days 3650 -subj /CN=zk-test-ca -keyout "$d/ca.key" -out "$d/ca.pem"
    for who in server client; do
      openssl req "${new[@]}" -subj "/CN=zk-$who" -keyout "$d/$who.key" -out "$d/$who.csr"
      openssl x509 -req -in "$d/$who.csr" -CA "$d/ca.pem" -CAkey "$d/ca.key" -CAcreateserial -days 3650 \
        -extfile <(printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth,clientAuth\n' "$san") -out "$d/$who.crt"
      cat "$d/$who.key" "$d/$who.crt" >"$d/$who.pem"
    done; } 2>"$d/openssl.log" || die "openssl: $(tail -3 "$d/openssl.log")"
}
write_sasl() {
  local u module='org.apache.zookeeper.server.auth.DigestLoginModule required'
  { echo "Server { $module"; for u in "${SASL_USERS[@]}"; do echo "  user_${u%%:*}=\"${u#*:}\""; done; echo ';};'
    u=${SASL_USERS[0]}; echo "Client { $module username=\"${u%%:*}\" password=\"${u#*:}\"; };"
  } >"$ZK_HOME_DIR/jaas.conf"
}
write_cfg() {
  local i=$1 d=$ZK_HOME_DIR/$1 j
  mkdir -p "$d/data"; echo "$i" >"$d/data/myid"
  { printf '%s\n' "dataDir=$d/data" "tickTime=$TICK" "initLimit=$((10000 / TICK))" "syncLimit=$((2000 / TICK))" \
      "minSessionTimeout=$((2 * TICK))" maxSessionTimeout=60000 maxClientCnxns=0 forceSync=no \
      admin.enableServer=false '4lw.commands.whitelist=*' extendedTypesEnabled=true reconfigEnabled=true \
      "DigestAuthenticationProvider.superDigest=super:$(printf %s "$SUPER" | openssl sha1 -binary | openssl base64)"
    if [[ $MODE == standalone ]]; then printf '%s\n' "clientPort=$(port 1)" "clientPortAddress=$(addr 1)"
    else printf '%s\n' standaloneEnabled=false "dynamicConfigFile=$d/zoo.cfg.dynamic"; fi
    [[ ! $TLS ]] || printf '%s\n' "secureClientPort=$(port "$i" 10)" "secureClientPortAddress=$(addr "$i")" \
      serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory ssl.clientAuth=need \
      "ssl.keyStore.location=$ZK_HOME_DIR/tls/server.pem" "ssl.trustStore.location=$ZK_HOME_DIR/tls/ca.pem" \
      authProvider.x509=org.apache.zookeeper.server.auth.X509AuthenticationProvider
    [[ ! $SASL ]] || echo authProvider.sasl=org.apache.zookeeper.server.auth.SASLAuthenticationProvider
    [[ ! $RO ]] || printf '%s\n' localSessionsEnabled=true localSessionsUpgradingEnabled=true
    printf '%s\n' "${CFG[@]}"; } >"$d/zoo.cfg"
  [[ $MODE == standalone ]] || for j in $(seq "$N"); do
    echo "server.$j=$(addr "$j"):$(port "$j" 20):$(port "$j" 30):participant;$(addr "$j"):$(port "$j")"
  done >"$d/zoo.cfg.dynamic"
}

# ---- network namespaces: a bridge in the clients' one, and one for each server ------------------
net_up() {
  local i
  ip netns add "$NETNS"; ip -n "$NETNS" link set lo up; ip -n "$NETNS" link add br0 type bridge
  ip -n "$NETNS" addr add 10.77.0.254/24 dev br0; ip -n "$NETNS" link set br0 up
  for i in $(seq "$N"); do
    ip netns add "$NETNS-$i"; ip -n "$NETNS-$i" link set lo up
    ip -n "$NETNS" link add "s$i" type veth peer name eth0 netns "$NETNS-$i"
    ip -n "$NETNS" link set "s$i" master br0 up
    ip -n "$NETNS-$i" addr add "$(addr "$i")/24" dev eth0; ip -n "$NETNS-$i" link set eth0 up
  done
}
net_down() { local n; for n in $(seq -f "$NETNS-%g" "$N") "$NETNS"; do ip netns del "$n" 2>/dev/null || true; done; }
partition() {
  [[ $NETNS ]] || die "partition and heal need 'start --netns'"
  local j
  case $2 in
    peers) for j in $(seq "$N"); do
        [[ $j == "$1" ]] || ip -n "$NETNS-$1" route replace blackhole "$(addr "$j")"; done ;;
    clients) ip -n "$NETNS-$1" route replace blackhole 10.77.0.254 ;;
    all) ip -n "$NETNS" link set "s$1" down ;;
    none) ip -n "$NETNS" link set "s$1" up; ip -n "$NETNS-$1" route flush type blackhole ;;
    *) die "partition N peers|clients|all" ;;
  esac
}

# ---- processes -------------------------------------------------------------------------------
launch() {
  local d=$ZK_HOME_DIR/$1 log=-Dorg.slf4j.simpleLogger ns=() opts=() cp
  cp=$(LC_ALL=C; printf ':%s' "$ZK_CACHE_DIR/$VERSION"/*) # zookeeper.jar last: Debian's names jars in /usr/share/java
  [[ ! $NETNS ]] || ns=(ip netns exec "$NETNS-$1")
  [[ ! $RO ]] || opts+=(-Dreadonlymode.enabled=true)
  [[ ! $SASL ]] || opts+=("-Djava.security.auth.login.config=$ZK_HOME_DIR/jaas.conf")
  opts+=(${ZK_JVM_OPTS:-})
  setsid "${ns[@]}" "$JAVA" -Xms64m -Xmx256m -XX:+UseSerialGC -Xshare:auto -XX:TieredStopAtLevel=1 \
    -Djava.net.preferIPv4Stack=true -Dzookeeper.jmx.log4j.disable=true -Djute.maxbuffer=4194304 \
    -Dznode.container.checkIntervalMs=500 $log.showDateTime=true "$log.dateTimeFormat=HH:mm:ss.SSS" \
    $log.showShortLogName=true "${opts[@]}" -cp "${cp#:}" \
    org.apache.zookeeper.server.quorum.QuorumPeerMain "$d/zoo.cfg" </dev/null >>"$d/server.log" 2>&1 &
  echo $! >"$d/pid"
}
wait_ready() { # wait_ready SECONDS N..
  local i end=$((SECONDS + $1)); shift
  for i; do
    until [[ $(mode "$i") =~ ^(standalone|leader|follower|observer)$ ]]; do
      pid "$i" >/dev/null || { sleep 0.5; pid "$i" >/dev/null; } ||
        die "server $i is dead: $(tail -n 15 "$ZK_HOME_DIR/$i/server.log")"
      ((SECONDS < end)) || die "server $i does not serve; see $ZK_HOME_DIR/$i/server.log"
      sleep 0.05
    done
  done
}
stop_all() { local i; for i in $(seq "$N"); do signal KILL "$i"; gone "$i"; done; [[ ! $NETNS ]] || net_down; }
busy() { local i o; for i in $(seq "$N"); do for o in 0 10 20 30; do
  if (: 3<>"/dev/tcp/127.0.0.1/$(port "$i" $o)") 2>/dev/null; then return 0; fi; done; done; return 1; }
pick_port() { # a block of ports that neither a program nor another home, running or stopped, has
  local home _
  for _ in {1..50}; do
    PORT=$((20000 + RANDOM % 250 * 40)); home=$(cat "$CLAIMS/$PORT" 2>/dev/null) || home=/nowhere
    if ! grep -qsxF "PORT=\"$PORT\"" "$home/settings" && ! busy; then echo "$ZK_HOME_DIR" >"$CLAIMS/$PORT"; return; fi
  done; die "found no free block of ports"
}
settle() { # settle the ports and keep the settings, one start at a time so that parallel ones differ
  mkdir -p "$CLAIMS"; exec 9>"$CLAIMS/lock"; flock 9
  [[ $PORT != 0 ]] || pick_port
  [[ $NETNS ]] || ! busy || die "ports $PORT.. are in use"
  mkdir -p "$ZK_HOME_DIR"
  declare -p MODE VERSION N PORT TICK TLS SASL RO NETNS | sed 's/^declare -- //' >"$ZK_HOME_DIR/settings"
  exec 9>&-
}
start() {
  MODE=${1:-}; [[ $MODE == standalone || $MODE == ensemble ]] || die "start standalone|ensemble"; shift
  VERSION=3.8 N=3 PORT=21810 TICK=200 TLS='' SASL='' RO='' NETNS='' CFG=()
  while (($#)); do
    case $1 in
      --tls) TLS=1 ;; --sasl) SASL=1 ;; --read-only) RO=1 ;;
      --netns) NETNS=zk-$(printf %s "$ZK_HOME_DIR" | cksum | cut -d' ' -f1) ;;
      --version|--servers|--port|--tick|--cfg) [[ $# -gt 1 ]] || die "$1 needs a value" ;;&
      --version) VERSION=$2; shift ;; --servers) N=$2; shift ;; --port) PORT=$2; shift ;;
      --tick) TICK=$2; shift ;; --cfg) CFG+=("$2"); shift ;;
      *) die "unknown option '$1'" ;;
    esac; shift
  done
  [[ $MODE == ensemble ]] || N=1
  [[ $N =~ ^[1-9]$ ]] || die "--servers 1..9"
  install_version "$VERSION"
  if [[ -e $ZK_HOME_DIR/settings ]]; then # what an earlier start left
    (load; for i in $(seq "$N"); do ! pid "$i" >/dev/null || die "already running in $ZK_HOME_DIR"; done; stop_all)
    rm -rf "${ZK_HOME_DIR:?}"/{[1-9],tls,jaas.conf,settings}
  fi
  settle
  [[ ! $TLS ]] || write_tls
  [[ ! $SASL ]] || write_sasl
  [[ ! $NETNS ]] || net_up
  local i; for i in $(seq "$N"); do write_cfg "$i"; launch "$i"; done
  # shellcheck disable=SC2046
  (wait_ready 30 $(seq "$N")) || { stop_all; exit 1; }
  connect 0
}

# A session's password is java.util.Random(id ^ 0xB3415C00), so the id is enough to take it over and close it.
expire() {
  local sid=$(($1)) seed x k pw='' body
  seed=$(((sid ^ 0xB3415C00 ^ 0x5DEECE66D) & 0xFFFFFFFFFFFF))
  for _ in 1 2 3 4; do
    seed=$(((seed * 0x5DEECE66D + 0xB) & 0xFFFFFFFFFFFF)); x=$((seed >> 16))
    for k in 0 8 16 24; do pw+=$(printf %02x $(((x >> k) & 255))); done
  done # now a connect request (zxid 0, 10 s, this session) and a closeSession
  printf -v body '0000002d%08x%016x%08x%016x00000010%s00%08x%08x%08x' 0 0 10000 "$sid" "$pw" 8 1 $((-11 & 0xffffffff))
  in_ns timeout 3 bash -c 'exec 3<>"/dev/tcp/$0/$1" && printf "$2" >&3 && cat <&3 >/dev/null' \
    "$(addr "$2")" "$(port "$2")" "$(sed 's/../\\x&/g' <<<"$body")" || die "server $2 did not close the session"
}

print_env() {
  local t=$ZK_HOME_DIR/tls v=(ZK_CONNECT "$(connect 0)" ZK_VERSION "$VERSION" ZK_SERVERS "$N" ZK_TICK_MS "$TICK"
    ZK_SUPER_AUTH "$SUPER" ZK_HOME_DIR "$ZK_HOME_DIR")
  [[ ! $TLS ]] || v+=(ZK_CONNECT_TLS "$(connect 10)" ZK_TLS_CA "$t/ca.pem" ZK_TLS_CERT "$t/client.crt"
    ZK_TLS_KEY "$t/client.key")
  [[ ! $SASL ]] || v+=(ZK_SASL_USERS "${SASL_USERS[*]}" ZK_JAAS "$ZK_HOME_DIR/jaas.conf")
  set -- "${v[@]}"; while (($#)); do echo "export $1=${2@Q}"; shift 2; done
}
status() {
  local i p s m
  for i in $(seq "$N"); do
    m=- s=dead
    if p=$(pid "$i"); then
      s=running; if grep -q '^State:.*stopped' "/proc/$p/status"; then s=paused; else m=$(mode "$i"); fi
    fi
    echo "$i $(addr "$i"):$(port "$i") pid=${p:--} $s ${m:-not-serving}"
  done
}

verb=${1:-help}; shift || true
case $verb in
  install) install_version "${1:-3.8}"; echo "$ZK_CACHE_DIR/${1:-3.8}"; exit ;;
  start) start "$@"; exit ;;
  help|-h|--help) usage; exit ;;
esac
load
# shellcheck disable=SC2086
case $verb in
  stop) stop_all ;;
  clean) stop_all
    [[ $(cat "$CLAIMS/$PORT" 2>/dev/null) != "$ZK_HOME_DIR" ]] || rm "$CLAIMS/$PORT"
    rm -rf "${ZK_HOME_DIR:?}" ;;
  status) status ;;
  leader) for i in $(seq "$N"); do [[ $(mode "$i") != leader ]] || { echo "$i"; exit; }; done; die "no leader" ;;
  env) print_env ;;
  exec) eval "$(print_env)"; in_ns "$@" ;;
  wait) t=${1:-30}; shift || true; n=$(pick "$@"); wait_ready "$t" $n ;;
  kill|pause|resume|restart|partition|heal|4lw|expire)
    [[ $verb == expire ]] && n=$(pick "${2:-1}") || n=$(pick "${1:?server number}")
    case $verb in
      kill) for i in $n; do signal KILL "$i"; gone "$i"; done ;;
      pause) for i in $n; do signal STOP "$i"; done ;;
      resume) for i in $n; do signal CONT "$i"; done ;;
      restart) for i in $n; do signal TERM "$i"; signal CONT "$i"; done
        for i in $n; do gone "$i"; launch "$i"; done; wait_ready 30 $n ;;
      partition) partition "$n" "${2:-all}" ;;
      heal) partition "$n" none ;;
      4lw) fourlw "$n" "${2:?four-letter word}" ;;
      expire) expire "$1" "$n" ;;
    esac ;;
  *) usage >&2; exit 2 ;;
esac
