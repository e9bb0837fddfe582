insert into composition_change values ('\x0102', '00000000-0000-0000-0000-000000000001', now());
