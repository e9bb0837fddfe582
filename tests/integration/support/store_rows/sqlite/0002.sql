insert into composition (key, tenant, uid, title, description, author, tags, folded_tags, folded, created_at, updated_at)
values (x'0102', 'local', 'H4sIAAAA', 'Água', 'd', 'Ana', '["Um"]', '["um"]', 'agua', 1000.5, 1001.5);
