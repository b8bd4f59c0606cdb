/**
 * `npm run deb`: packs built binaries as Debian packages; needs no network and no Debian tools.
 * Equal binaries give equal bytes. Exit status 1 if a package was not made, 2 for wrong arguments.
 */
import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { parseArgs } from "node:util";
import { type PackageName, PACKAGES, makeDeb } from "./deb/package.ts";
import { ROOT, readStamp, runTool, secondsOf } from "./product.ts";

const NAMES: readonly PackageName[] = ["navarch", "navarch-node"];
const USAGE = `usage: bun run build/deb.ts [--only ${NAMES.join("|")}] [--binaries DIR]
         [--outdir DIR]    (both default to dist)`;

type Wanted = { names: readonly PackageName[]; binaries: string; outdir: string };

/** Throws an error that names the flag, what was expected and what was found. */
async function parse(args: readonly string[]): Promise<Wanted> {
  const text = { type: "string" } as const;
  const options = { only: text, binaries: text, outdir: text };
  const { values } = parseArgs({ args: [...args], options });
  const names = NAMES.filter((name) => values.only === undefined || values.only === name);
  if (names.length === 0) {
    const expected = Object.keys(PACKAGES).join(" or ");
    throw new Error(`--only: expected ${expected}, found ${JSON.stringify(values.only)}`);
  }
  const folder = (given: string | undefined) => resolve(given ?? join(ROOT, "dist"));
  return { names, binaries: folder(values.binaries), outdir: folder(values.outdir) };
}

async function make({ names, binaries, outdir }: Wanted): Promise<number> {
  const { version, date } = await readStamp();
  mkdirSync(outdir, { recursive: true });
  let failed = 0;
  for (const name of names) {
    try {
      const binary = await Bun.file(join(binaries, name)).bytes();
      const { fileName, bytes } = makeDeb(name, binary, { version, seconds: secondsOf(date) });
      const path = join(outdir, fileName);
      writeFileSync(`${path}.new`, bytes);
      renameSync(`${path}.new`, path);
      const mebibytes = (bytes.length / 1_048_576).toFixed(1);
      console.log(`${relative(process.cwd(), path)}  ${mebibytes} MiB`);
    } catch (error) {
      failed += 1;
      console.error(`${name}: not packed: ${error instanceof Error ? error.message : error}`);
    }
  }
  return failed === 0 ? 0 : 1;
}

await runTool(USAGE, parse, make);
