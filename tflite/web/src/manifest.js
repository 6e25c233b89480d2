// The manifest, FILE.json beside FILE.tflite, and whether a stream can run its model.

export const MOST_BYTES = 2 ** 26; // of a model
export const MOST_MANIFEST_BYTES = 2 ** 20;
const MOST_PERSISTENCE = 0.95;
const MOST_LEVEL = 128; // of brighten
const MOST_GAP = 16;

// The manifest that a .json file holds. name: of the file, for messages.
// Throws an Error whose message is for the user: not a manifest, or a model of another kind.
export function parseManifest(text, name) {
  let manifest;
  try {
    manifest = JSON.parse(text);
  } catch {
    throw new Error(`${name} is not JSON: expected the manifest that uva-tf convert writes`);
  }
  return checkManifest(manifest, name);
}

// The same for a manifest that is read already.
export function checkManifest(manifest, name) {
  if (typeof manifest?.form !== 'string' || typeof manifest.sha256 !== 'string') {
    throw new Error(`${name} is not a manifest: expected what uva-tf convert writes`);
  }
  const {form, pairing, resolution, persistence = 0, brighten = 0, gap = 1} = manifest;
  if (form !== 'step') {
    throw new Error(`${name}: the form is ${form}, expected step: uva-tf convert --form step`);
  }
  if (pairing !== 'previous') {
    throw new Error(`${name}: the pairing is ${pairing}, expected previous: choose another model`);
  }
  if (![32, 64, 128, 256].includes(resolution)) {
    throw new Error(`${name}: the resolution is ${resolution}, expected 32, 64, 128 or 256`);
  }
  if (typeof persistence !== 'number' || !(persistence >= 0 && persistence <= MOST_PERSISTENCE)) {
    const wanted = `expected 0 to ${MOST_PERSISTENCE}`;
    throw new Error(`${name}: the persistence is ${persistence}, ${wanted}`);
  }
  if (!Number.isInteger(brighten) || brighten < 0 || brighten > MOST_LEVEL) {
    const wanted = `expected a whole number from 0 to ${MOST_LEVEL}`;
    throw new Error(`${name}: brighten is ${brighten}, ${wanted}`);
  }
  if (!Number.isInteger(gap) || gap < 1 || gap > MOST_GAP) {
    const wanted = `expected a whole number from 1 to ${MOST_GAP}`;
    throw new Error(`${name}: gap is ${gap}, ${wanted}`);
  }
  return manifest;
}

// Throws an Error if a model's bytes are not those that its manifest vouches for.
export async function checkBytes(bytes, manifest, name) {
  if (!crypto.subtle) {
    throw new Error('the page must come from https or from this machine: browsers ask for it');
  }
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  const found = [...digest].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  if (found !== manifest.sha256) {
    throw new Error(`${name}: its sha256 differs from its manifest's: take the two files anew`);
  }
}
