update job set history = '[{"attempt": 1, "worker": "w"}]' where state = 'succeeded';
