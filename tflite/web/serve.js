// Builds the page and serves it on this machine: node serve.js [--port N] [MODEL.tflite]

import {readFile} from 'node:fs/promises';
import {createServer} from 'node:http';
import {extname, join, normalize} from 'node:path';
import {fileURLToPath} from 'node:url';
import {parseArgs} from 'node:util';
import {build, checkModel, command} from './build.js';

const PORT = 8000;
const TYPES = {
  '.css': 'text/css',
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.json': 'application/json',
  '.wasm': 'application/wasm',
};

// port 0: any that is free. Gives the server, which listens to this machine alone.
export async function serve(dist, port = 0) {
  const server = createServer(async ({url}, response) => {
    try {
      const path = normalize(new URL(url, 'http://here').pathname);
      const file = join(dist, path === '/' ? 'index.html' : path);
      const content = await readFile(file);
      response.writeHead(200, {'Content-Type': TYPES[extname(file)] ?? 'application/octet-stream'});
      response.end(content);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, 'localhost', resolve);
  }).catch((error) => {
    const why = error.code === 'EADDRINUSE' ? 'is in use' : `can't be opened (${error.code})`;
    throw new Error(`port ${port} ${why}: choose another, npm start -- --port N`);
  });
  return server;
}

const USAGE = `usage: node serve.js [--port N] [MODEL.tflite]

Builds the page and serves it on this machine.
  --port N      port to listen on (default: ${PORT})
  MODEL.tflite  file of the form step (default: the int8 student that comes with the package)`;

async function main() {
  const {values, positionals} = parseArgs({
    options: {
      port: {type: 'string', default: String(PORT)},
      help: {type: 'boolean', short: 'h'},
    },
    allowPositionals: true,
  });
  if (values.help) return console.log(USAGE);
  const port = Number(values.port);
  if (!Number.isInteger(port) || port < 1 || port > 65535) {
    throw new Error(`--port ${values.port}: expected a whole number from 1 to 65535`);
  }
  if (positionals.length > 1) {
    throw new Error(`${positionals.length} files, expected one MODEL.tflite at most`);
  }
  await checkModel(positionals[0]);
  const server = await serve(fileURLToPath(new URL('dist', import.meta.url)), port); // before anything is written
  try {
    await build(positionals[0]);
  } catch (error) {
    server.close();
    throw error;
  }
  console.log(`http://localhost:${port}, until Ctrl-C`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await command(main);
