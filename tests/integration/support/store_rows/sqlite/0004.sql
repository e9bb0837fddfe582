update job set history = '[{"attempt": 1}]' where state = 'succeeded';
