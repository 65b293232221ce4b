// A disk that says it took a write and stores nothing of it. Preloaded (node --require), with CORA_TEST_LIES naming how the path ends.

const fs = require('node:fs');
const { syncBuiltinESMExports } = require('node:module');

const { writeSync } = fs;
const name = process.env.CORA_TEST_LIES;

fs.writeSync = (fd, buffer, ...rest) => {
  if (name === undefined || !fs.readlinkSync(`/proc/self/fd/${fd}`).endsWith(name)) return writeSync(fd, buffer, ...rest);
  return typeof rest[1] === 'number' ? rest[1] : buffer.length;
};
syncBuiltinESMExports();
