#!/usr/bin/env bash
# Runs once, when the Postgres volume is empty: the platform's role and a database that sorts text by code point.
set -euo pipefail
psql --username "$POSTGRES_USER" --set ON_ERROR_STOP=1 --set password="$(cat "$C4_PASSWORD_FILE")" <<'SQL'
create role c4 login password :'password';
create role c4_reader nologin;
create database c4 owner c4 template template0 encoding 'UTF8' locale_provider builtin builtin_locale 'C.UTF-8';
revoke connect, temporary on database c4 from public;
grant connect on database c4 to c4_reader;
alter role c4 set work_mem = '64MB';
SQL
