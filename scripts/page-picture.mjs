// The picture in README, from the last `npm run test:page`: pictures/readme.png becomes docs/page.png, where it is a picture and small.

import { copyFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const MOST_BYTES = 200_000;
const made = join(root, 'pictures/readme.png');
const content = readFileSync(made);
if (content.subarray(1, 4).toString() !== 'PNG' || content.length > MOST_BYTES)
  throw new Error(`${made} is no picture of at most ${MOST_BYTES} bytes`);
copyFileSync(made, join(root, 'docs/page.png'));
console.log(`docs/page.png: ${content.length} bytes`);
