update composition set version = 'sha-of-it';
