# Usage: start.sh NAME  Certify pebble under this name, by itself, and start it.
set -eu
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=$1" \
  -addext "subjectAltName=DNS:$1,DNS:localhost" -keyout /etc/pebble/server.key -out /etc/pebble/server.crt
mv /etc/pebble/pebble.service /etc/systemd/system/
systemctl daemon-reload
systemctl start pebble
timeout 15 sh -c 'until ss -Hltn sport = :14000 | grep -q .; do sleep 0.1; done'
