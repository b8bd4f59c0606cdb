/**
 * `npm run release`: writes one version to `dist/release/VERSION`: binaries, archive and packages
 * for x64 and arm64, units, installer, bill of materials, and `SHA256SUMS`. Two runs on one commit
 * write the same bytes; the folder appears as a whole. One binary serves every x64 processor: Bun
 * 1.4 detects AVX2 at run time, and its `-baseline` target is the same file.
 */
import { createPrivateKey, sign } from "node:crypto";
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync } from "node:fs";
import { readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { parseArgs } from "node:util";
import { makeDeb, type PackageName } from "./deb/package.ts";
import { PRODUCTS, ROOT, buildProduct, readStamp, runTool } from "./product.ts";
import { type Stamp, secondsOf } from "./product.ts";
import { type Architecture, fetchForeign, RELEASE_NAME } from "./foreign.ts";
import { runtimePackage } from "./foreign.ts";
import { type Lock, formatSbom } from "./release/sbom.ts";
import { encodeTar, type TarEntry } from "./release/tar.ts";

const ALL: readonly Architecture[] = ["x64", "arm64"];
const USAGE = `usage: npm run release -- [--outdir DIR] [--only x64|arm64] [--sign-key FILE]
  --outdir DIR     the release becomes DIR/VERSION (default dist/release)
  --only ARCH      one architecture
  --sign-key FILE  Ed25519 private key (PEM): writes SHA256SUMS.sig too. A control plane signs what
                   it serves with its own key, so only a release given away otherwise needs this.`;

/** Files of the repository in every release, with their names there. */
const CARRIED: readonly [string, string][] = [
  ["systemd/navarch-node.service", "navarch-node.service"],
  ["systemd/navarch-control-plane.service", "navarch-control-plane.service"],
  ["bootstrap/install/install.sh", "install.sh"],
  ["bootstrap/install/cloud-init.yaml", "cloud-init.yaml"],
  ["docs/navarch.schema.json", "navarch.schema.json"],
  ["LICENSE", "LICENSE"],
];

type Wanted = {
  outdir: string;
  architectures: readonly Architecture[];
  signKey: string | null;
  stamp: Stamp;
};

/** Throws an error that names the flag, what was expected and what was found. */
async function parse(args: readonly string[]): Promise<Wanted> {
  const text = { type: "string" } as const;
  const { values } = parseArgs({
    args: [...args],
    options: { outdir: text, only: text, "sign-key": text },
  });
  const { only } = values;
  const architectures = ALL.filter((each) => only === undefined || each === only);
  if (architectures.length === 0) {
    throw new Error(`--only: expected x64 or arm64, found ${JSON.stringify(only)}`);
  }
  const outdir = resolve(values.outdir ?? join(ROOT, "dist", "release"));
  const signKey = values["sign-key"] === undefined ? null : resolve(values["sign-key"]);
  return { outdir, architectures, signKey, stamp: await readStamp() };
}

/** Builds both binaries of one architecture into `folder`, as `navarch-linux-amd64` and so on. */
async function buildBinaries(
  folder: string,
  architecture: Architecture,
  from: { stamp: Stamp; lock: Lock },
): Promise<void> {
  const executable = fetchForeign(architecture, from.lock);
  const scratch = join(folder, `.${architecture}`);
  for (const product of PRODUCTS) {
    const target = `bun-linux-${architecture}`;
    const options = { outdir: scratch, target, executable, stamp: from.stamp };
    const built = await buildProduct(product, options);
    const name = `${product.name}-linux-${RELEASE_NAME[architecture]}`;
    renameSync(built.path, join(folder, name));
    console.log(`${name.padEnd(40)} ${Math.round(built.ms)} ms`);
  }
  rmSync(scratch, { recursive: true });
}

/** `navarch-V-linux-amd64.tar.gz`: binaries under their own names, units, installer, licence. */
function packArchive(folder: string, architecture: Architecture, stamp: Stamp): void {
  const suffix = `linux-${RELEASE_NAME[architecture]}`;
  const top = `navarch-${stamp.version}-${suffix}`;
  const read = (file: string): Uint8Array => readFileSync(join(folder, file));
  const binaries: TarEntry[] = PRODUCTS.map(({ name }) => {
    return { name: `${top}/${name}`, bytes: read(`${name}-${suffix}`), mode: 0o755 };
  });
  const others: TarEntry[] = CARRIED.filter(([, name]) => existsSync(join(folder, name))).map(
    ([, name]) => {
      const mode = name.endsWith(".sh") ? 0o755 : 0o644;
      return { name: `${top}/${name}`, bytes: read(name), mode };
    },
  );
  const tar = encodeTar([...binaries, ...others], secondsOf(stamp.date));
  writeFileSync(join(folder, `${top}.tar.gz`), Bun.gzipSync(tar, { level: 6 }));
}

const PACKAGED: readonly PackageName[] = ["navarch", "navarch-node"];

function packDebs(folder: string, architecture: Architecture, stamp: Stamp): void {
  for (const name of PACKAGED) {
    const binary = readFileSync(join(folder, `${name}-linux-${RELEASE_NAME[architecture]}`));
    const edition = { version: stamp.version, seconds: secondsOf(stamp.date) };
    const { fileName, bytes } = makeDeb(name, binary, edition);
    writeFileSync(join(folder, fileName), bytes);
  }
}

/** `sha256sum`'s own form, sorted by name. */
async function writeSums(folder: string): Promise<string> {
  const lines: string[] = [];
  for (const name of readdirSync(folder).sort()) {
    const hash = new Bun.CryptoHasher("sha256");
    for await (const chunk of Bun.file(join(folder, name)).stream()) hash.update(chunk);
    lines.push(`${hash.digest("hex")}  ${name}\n`);
  }
  writeFileSync(join(folder, "SHA256SUMS"), lines.join(""));
  return lines.join("");
}

async function fill(folder: string, wanted: Wanted): Promise<void> {
  const { stamp } = wanted;
  const lock = JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8")) as Lock;
  for (const [file, name] of CARRIED) {
    if (existsSync(join(ROOT, file))) cpSync(join(ROOT, file), join(folder, name));
  }
  for (const architecture of wanted.architectures) {
    await buildBinaries(folder, architecture, { stamp, lock });
    packArchive(folder, architecture, stamp);
    packDebs(folder, architecture, stamp);
  }
  const { version, date } = stamp;
  const sbom = formatSbom({ lock, version, date, runtime: runtimePackage("x64") });
  writeFileSync(join(folder, `navarch-${version}.cdx.json`), sbom);
  writeFileSync(join(folder, "VERSION"), `${version}\n`);
  const sums = await writeSums(folder);
  if (wanted.signKey !== null) {
    const key = createPrivateKey(readFileSync(wanted.signKey, "utf8"));
    writeFileSync(join(folder, "SHA256SUMS.sig"), sign(null, Buffer.from(sums), key));
  }
}

async function release(wanted: Wanted): Promise<number> {
  mkdirSync(wanted.outdir, { recursive: true });
  const scratch = mkdtempSync(join(wanted.outdir, ".release-"));
  try {
    await fill(scratch, wanted);
    chmodSync(scratch, 0o755);
    const folder = join(wanted.outdir, wanted.stamp.version);
    const old = `${scratch}.old`;
    if (existsSync(folder)) renameSync(folder, old);
    renameSync(scratch, folder);
    rmSync(old, { recursive: true, force: true });
    for (const name of readdirSync(folder).sort()) {
      const mebibytes = (statSync(join(folder, name)).size / 1_048_576).toFixed(1);
      console.log(`${relative(process.cwd(), join(folder, name)).padEnd(60)} ${mebibytes} MiB`);
    }
    return 0;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

await runTool(USAGE, parse, release);
