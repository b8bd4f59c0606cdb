/**
 * Compiles small programs with the production settings and runs them as a customer would: one file
 * in a folder without `node_modules`.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { symlinkSync, utimesSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { ROOT, buildProduct, isStale, readStamp } from "./product.ts";
import type { Product } from "./product.ts";

const STAMP = { version: "9.8.7", commit: "abcdef012345", date: "2026-01-02T03:04:05.000Z" };

const PROGRAM = `
import { createClient } from "@libsql/client";
import { BUILD_DATE, COMMIT, VERSION } from "${join(ROOT, "schema/version.ts")}";
const client = createClient({ url: "file:" + process.argv[2], timeout: 5_000 });
await client.execute("CREATE TABLE IF NOT EXISTS t (n INTEGER)");
await client.execute({ sql: "INSERT INTO t VALUES (?)", args: [42] });
const { rows } = await client.execute("SELECT n FROM t");
const seen = { n: rows[0]?.n, VERSION, COMMIT, BUILD_DATE, mode: process.env.NODE_ENV };
if (process.argv[3] === "stay") setInterval(() => undefined, 1_000);
console.log(JSON.stringify({ ...seen, dotenv: process.env.PLANTED ?? null }));
`;

let folder = "";
let product: Product = { name: "program", entry: "", rooms: [] };

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "navarch-build-"));
  mkdirSync(join(folder, "source"));
  mkdirSync(join(folder, "run"));
  symlinkSync(join(ROOT, "node_modules"), join(folder, "source", "node_modules"));
  await Bun.write(join(folder, "source", "main.ts"), PROGRAM);
  product = { ...product, entry: relative(ROOT, join(folder, "source", "main.ts")) };
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

const target = `bun-linux-${process.arch}`;
const options = (outdir: string) => ({
  outdir: join(folder, outdir),
  target,
  executable: null,
  stamp: STAMP,
});

async function digest(path: string): Promise<string> {
  const hash = new Bun.CryptoHasher("sha256");
  return hash.update(await Bun.file(path).arrayBuffer()).digest("hex");
}

describe("buildProduct()", () => {
  test("makes a binary that opens a database file where there is no node_modules", async () => {
    const built = await buildProduct(product, options("out"));
    rmSync(join(folder, "source", "node_modules"));
    const cwd = join(folder, "run");
    await Bun.write(join(cwd, ".env"), "PLANTED=yes\n");
    await Bun.write(join(cwd, "bunfig.toml"), 'preload = ["./planted.ts"]\n');
    await Bun.write(join(cwd, "planted.ts"), 'console.log("planted code ran");\n');
    const child = Bun.spawnSync([built.path, join(cwd, "t.db")], { cwd, env: { TMPDIR: folder } });
    symlinkSync(join(ROOT, "node_modules"), join(folder, "source", "node_modules"));
    expect(child.stderr.toString()).toBe("");
    expect(JSON.parse(child.stdout.toString())).toEqual({
      n: 42,
      VERSION: STAMP.version,
      COMMIT: STAMP.commit,
      BUILD_DATE: STAMP.date,
      mode: "production",
      dotenv: null,
    });
  });

  test("leaves nothing in TMPDIR, however often it is killed, and takes nothing from it", async () => {
    const path = join(folder, "out", "program");
    const tmp = join(folder, "tmp");
    mkdirSync(tmp, { mode: 0o777 });
    const env = { TMPDIR: tmp };
    for (let kill = 0; kill < 20; kill++) {
      const child = Bun.spawn([path, join(folder, "run", "k.db"), "stay"], { env });
      // From before the addon is loaded to long after it.
      await Bun.sleep(kill * 10);
      child.kill("SIGKILL");
      await child.exited;
    }
    expect(readdirSync(tmp)).toEqual([]);
    const run = (TMPDIR: string) =>
      Bun.spawnSync([path, join(folder, "run", "k.db")], { env: { TMPDIR } }).exitCode;
    expect(run(tmp)).toBe(0);
    expect(readdirSync(tmp)).toEqual([]);
    expect(run(join(folder, "does", "not", "exist"))).toBe(0);
  }, 60_000);

  test("makes the same bytes twice", async () => {
    const [one, two] = [
      await buildProduct(product, options("one")),
      await buildProduct(product, options("two")),
    ];
    expect(await digest(one.path)).toBe(await digest(two.path));
  });

  test("names the entry point that is missing and leaves nothing behind", async () => {
    const outdir = join(folder, "none");
    const missing = { ...product, entry: "no/such/main.ts" };
    await expect(buildProduct(missing, options("none"))).rejects.toThrow("no/such/main.ts");
    expect(existsSync(outdir)).toBe(false);
  });

  test("shows the compiler's message and keeps the old binary when a source is broken", async () => {
    const entry = join(folder, "source", "broken.ts");
    await Bun.write(entry, 'import { gone } from "./gone.ts";\nconsole.log(gone);\n');
    const broken = { ...product, name: "kept", entry: relative(ROOT, entry) };
    const kept = join(folder, "kept", "kept");
    await Bun.write(kept, "old");
    await expect(buildProduct(broken, options("kept"))).rejects.toThrow("./gone.ts");
    expect(await Bun.file(kept).text()).toBe("old");
  });
});

describe("isStale()", () => {
  test("is true without a binary, and with one older than its sources", async () => {
    const outdir = join(folder, "stale");
    const schema = { ...product, rooms: ["schema"] };
    expect(isStale(schema, outdir)).toBe(true);
    const path = join(outdir, product.name);
    await Bun.write(path, "binary");
    utimesSync(path, 1, 1);
    expect(isStale(schema, outdir)).toBe(true);
    const ahead = Date.now() / 1_000 + 3_600;
    utimesSync(path, ahead, ahead);
    expect(isStale(schema, outdir)).toBe(false);
  });
});

describe("readStamp()", () => {
  test("takes the date from SOURCE_DATE_EPOCH and refuses one that is no number", async () => {
    const before = process.env["SOURCE_DATE_EPOCH"];
    try {
      process.env["SOURCE_DATE_EPOCH"] = "1767323045";
      expect((await readStamp()).date).toBe("2026-01-02T03:04:05.000Z");
      process.env["SOURCE_DATE_EPOCH"] = "yesterday";
      await expect(readStamp()).rejects.toThrow("SOURCE_DATE_EPOCH");
    } finally {
      if (before === undefined) delete process.env["SOURCE_DATE_EPOCH"];
      else process.env["SOURCE_DATE_EPOCH"] = before;
    }
  });
});
