// Builds the page and serves it on this machine: node serve.js [MODEL.tflite]

import {readFile} from 'node:fs/promises';
import {createServer} from 'node:http';
import {extname, join, normalize} from 'node:path';
import {fileURLToPath} from 'node:url';
import {build} from './build.js';

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
    const path = normalize(new URL(url, 'http://here').pathname);
    const file = join(dist, path === '/' ? 'index.html' : path);
    try {
      const content = await readFile(file);
      response.writeHead(200, {'Content-Type': TYPES[extname(file)] ?? 'application/octet-stream'});
      response.end(content);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((resolve) => server.listen(port, 'localhost', resolve));
  return server;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const server = await serve(await build(process.argv[2]), Number(process.env.PORT ?? 8000));
  console.log(`http://localhost:${server.address().port}, until Ctrl-C`);
}
