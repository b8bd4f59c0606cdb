/**
 * `npm run build`: compiles `dist/navarch` and `dist/navarch-node`, each one file that runs without
 * Node, Bun or `node_modules`. Exit status 1 if one was not built, 2 for wrong arguments.
 */
import { relative, resolve } from "node:path";
import { parseArgs } from "node:util";
import { PRODUCTS, ROOT, buildProduct, readStamp, runTool } from "./product.ts";
import type { BuildOptions, Product } from "./product.ts";

const NAMES = PRODUCTS.map((product) => product.name);
const USAGE = `usage: npm run build -- [--only ${NAMES.join("|")}] [--outdir DIR]
         [--target bun-linux-x64|bun-linux-arm64] [--executable BUN_OF_THE_TARGET]`;

type Wanted = { products: readonly Product[]; options: BuildOptions };

/** Throws an error that names the flag, what was expected and what was found. */
async function parse(args: readonly string[]): Promise<Wanted> {
  const text = { type: "string" } as const;
  const { values } = parseArgs({
    args: [...args],
    options: { only: text, outdir: text, target: text, executable: text },
  });
  const { only } = values;
  const products = PRODUCTS.filter((product) => only === undefined || product.name === only);
  if (products.length === 0) {
    throw new Error(`--only: expected ${NAMES.join(" or ")}, found ${JSON.stringify(only)}`);
  }
  const outdir = values.outdir === undefined ? resolve(ROOT, "dist") : resolve(values.outdir);
  const target = values.target ?? `bun-linux-${process.arch}`;
  const executable = values.executable === undefined ? null : resolve(values.executable);
  return { products, options: { outdir, target, executable, stamp: await readStamp() } };
}

async function build({ products, options }: Wanted): Promise<number> {
  let failed = 0;
  for (const product of products) {
    try {
      const built = await buildProduct(product, options);
      const mebibytes = (built.bytes / 1_048_576).toFixed(1);
      const shown = relative(process.cwd(), built.path);
      console.log(`${shown.padEnd(24)} ${mebibytes} MiB  ${Math.round(built.ms)} ms`);
    } catch (error) {
      failed += 1;
      console.error(
        `${product.name}: not built: ${error instanceof Error ? error.message : error}`,
      );
    }
  }
  return failed === 0 ? 0 : 1;
}

await runTool(USAGE, parse, build);
