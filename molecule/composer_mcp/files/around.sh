# A PostgreSQL with the two roles of the application, and an issuer of tokens.
set -eu
usermod --append --groups ssl-cert postgres
pg_lsclusters --no-header | grep -q . || pg_createcluster "$(ls /usr/lib/postgresql)" main
version=$(ls /usr/lib/postgresql)
cat > "/etc/postgresql/$version/main/conf.d/tls.conf" <<'END'
listen_addresses = '*'
ssl = on
ssl_cert_file = '/etc/ssl/composer/host.crt'
ssl_key_file = '/etc/ssl/composer/host.key'
END
echo "hostssl composer all 0.0.0.0/0 scram-sha-256" >> "/etc/postgresql/$version/main/pg_hba.conf"
systemctl restart postgresql
timeout 30 sh -c 'until runuser -u postgres -- psql --quiet --command "select 1" >/dev/null 2>&1; do :; done'
runuser -u postgres -- psql --quiet <<'END'
create role composer_owner login password 'canary-owner';
create role composer login password 'canary-database';
create database composer owner composer_owner;
END
/usr/bin/python3 /opt/around/make_token.py publish keys k1:ES256
# The shared issuer listens for its own machine only.
sed -i 's/"127.0.0.1", 8200/"0.0.0.0", 8200/' /opt/around/small_issuer.py
cat > /etc/systemd/system/small-issuer.service <<'END'
[Service]
ExecStart=/usr/bin/python3 /opt/around/small_issuer.py
[Install]
WantedBy=multi-user.target
END
systemctl daemon-reload
systemctl enable --now --quiet small-issuer
