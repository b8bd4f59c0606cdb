/** The user data of `bootstrap/install/`: its form, and what it does when a machine runs it. */
import { afterEach, describe, expect, test } from "bun:test";
import { mkdirSync, readFileSync, statSync, writeFileSync, existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { gunzipSync } from "node:zlib";
import * as v from "valibot";
import { parse } from "yaml";
import { agentOf, type Bench, openBench, TOKEN } from "./bench.ts";

let open: Bench | null = null;
afterEach(async () => {
  await open?.close();
  open = null;
});

const FOLDER = join(import.meta.dir, "..", "..", "bootstrap", "install");
const TEMPLATE = readFileSync(join(FOLDER, "cloud-init.yaml"), "utf8");

/** Of cloud-init's own schema what is used here; any other key is a mistake. */
const UserData = v.strictObject({
  write_files: v.array(
    v.strictObject({
      path: v.pipe(v.string(), v.startsWith("/run/navarch-install/")),
      owner: v.optional(v.literal("root:root")),
      permissions: v.optional(v.picklist(["0600", "0700"])),
      encoding: v.optional(v.literal("gz+b64")),
      content: v.string(),
    }),
  ),
  runcmd: v.array(v.array(v.string())),
});

/** What cloud-init does with it: writes the files, then runs the commands. `/run` is elsewhere. */
async function boot(bench: Bench, text: string): Promise<{ code: number; out: string }> {
  const run = join(bench.folder, "run");
  const moved = text
    .replaceAll("/run/navarch-install", join(run, "navarch-install"))
    .replace("sh install.sh --server", `sh install.sh --root ${bench.root} --server`);
  const data = parse(moved) as v.InferOutput<typeof UserData>;
  for (const { path, content, permissions, encoding } of data.write_files) {
    mkdirSync(dirname(path), { recursive: true });
    const plain = encoding === undefined ? content : gunzipSync(Buffer.from(content, "base64"));
    writeFileSync(path, plain, { mode: Number.parseInt(permissions ?? "0644", 8) });
  }
  let last = { code: 0, out: "" };
  for (const command of data.runcmd) last = await bench.run(command);
  return last;
}

const filled = (bench: Bench): string =>
  TEMPLATE.replaceAll("CONTROL_PLANE", bench.url)
    .replaceAll("JOIN_TOKEN", TOKEN)
    .replaceAll("POOL", "training");

describe("cloud-init.yaml", () => {
  test("has the form of user data, with the token for root alone", () => {
    expect(TEMPLATE.split("\n")[0]).toBe("#cloud-config");
    const data = v.parse(UserData, parse(TEMPLATE));
    const token = data.write_files.find(({ content }) => content.includes("JOIN_TOKEN"));
    expect(token?.permissions).toBe("0600");
    // The smallest limit of the clouds is 16 KB.
    expect(TEMPLATE.length).toBeLessThan(4_096);
  });

  test("installs the agent, and leaves neither token nor script behind", async () => {
    open = await openBench();
    open.release("0.1.0");
    const { code, out } = await boot(open, filled(open));
    expect(code).toBe(0);
    expect(out).toContain("installed navarch-node 0.1.0");
    const at = (path: string): string => join(open?.root ?? "", path);
    expect(readFileSync(at("usr/local/bin/navarch-node"), "utf8")).toBe(agentOf("0.1.0"));
    expect(readFileSync(at("etc/navarch-node/join-token"), "utf8")).toBe(`${TOKEN}\n`);
    expect((statSync(at("etc/navarch-node/join-token")).mode & 0o777).toString(8)).toBe("600");
    expect(readFileSync(at("etc/navarch-node/environment"), "utf8")).toContain("--pool=training");
    expect(existsSync(join(open.folder, "run/navarch-install"))).toBe(false);
  });

  test("README's way with the installer in the user data needs no download of it", async () => {
    open = await openBench();
    open.release("0.1.0");
    const readme = readFileSync(join(FOLDER, "README.md"), "utf8");
    const line = /^printf '.*?(?=\s+# one more entry)/ms.exec(readme)?.[0] ?? "";
    expect(line).toContain("gzip -9n");
    writeFileSync(
      join(open.folder, "install.sh"),
      await (await fetch(`${open.url}/install.sh`)).text(),
    );
    const { out: entry } = await open.run(["sh", "-c", line]);
    expect(entry.length).toBeLessThan(11_000);
    const text = filled(open)
      .replace("runcmd:\n", `${entry}runcmd:\n`)
      .replace(/      tries=60\n[\s\S]*?      done\n/, "");
    expect(() => v.parse(UserData, parse(text))).not.toThrow();
    open.requests.length = 0;
    const { code, out } = await boot(open, text);
    expect(code).toBe(0);
    expect(out).toContain("installed navarch-node 0.1.0");
    expect(open.requests).not.toContain("/install.sh");
  });
});
