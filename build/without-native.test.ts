import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT } from "./product.ts";
import { NATIVE, withoutNative } from "./without-native.ts";

test("withoutNative() bundles ssh2 whole, without what its install scripts would have made", async () => {
  expect("./crypto/build/Release/sshcrypto.node").toMatch(NATIVE);
  const folder = mkdtempSync(join(tmpdir(), "navarch-native-"));
  const entry = join(folder, "entry.ts");
  const library = JSON.stringify(join(ROOT, "node_modules", "ssh2"));
  writeFileSync(entry, `import ssh2 from ${library}; console.log(typeof ssh2.Client);`);
  const plugins = [withoutNative()];
  const built = await Bun.build({ entrypoints: [entry], target: "bun", outdir: folder, plugins });
  const names = built.outputs.map(({ path }) => path);
  expect(names.filter((name) => name.endsWith(".node"))).toEqual([]);
  const [main = ""] = names;
  const ran = Bun.spawnSync([process.execPath, main], { cwd: folder });
  expect([ran.exitCode, ran.stdout.toString().trim()]).toEqual([0, "function"]);
  rmSync(folder, { recursive: true, force: true });
}, 60_000);
