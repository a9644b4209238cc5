/** A program for tests to kill: starts the server of the folder it is given, says so, and stays. */
import { startEmbedded } from '../src/embedded.ts';

const [dataDir = ''] = process.argv.slice(2);
const { pid, port, url, adopted } = await startEmbedded({ dataDir });
console.log(JSON.stringify({ pid, port, url, adopted }));
setInterval(() => {}, 60_000);
