import { expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, statSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse } from "yaml";
import { json, navarch } from "./spawn.ts";

const folder = mkdtempSync(join(tmpdir(), "navarch-munge-"));

test("S20: a key is 1024 random bytes of mode 0400, whatever the umask", async () => {
  const [one, other] = [join(folder, "one"), join(folder, "other")];
  const was = process.umask(0o777);
  try {
    expect((await navarch(["slurm", "munge-key", "-o", one])).code).toBe(0);
  } finally {
    process.umask(was);
  }
  expect((await navarch(["slurm", "munge-key", "--out", other])).code).toBe(0);
  const stat = statSync(one);
  expect({ mode: stat.mode & 0o7777, size: stat.size }).toEqual({ mode: 0o400, size: 1024 });
  expect(readFileSync(one).equals(readFileSync(other))).toBe(false);
  // Random bytes do not compress.
  expect(Bun.gzipSync(readFileSync(one)).length).toBeGreaterThan(1000);
});

test("S20: an existing file is replaced only with --force", async () => {
  const [path, dangling] = [join(folder, "kept"), join(folder, "dangling")];
  expect((await navarch(["slurm", "munge-key", "-o", path])).code).toBe(0);
  const key = readFileSync(path);
  const again = await navarch(["slurm", "munge-key", "-o", path]);
  expect(again).toMatchObject({ code: 1, out: "" });
  expect(again.err).toContain("exists already; --force replaces the key in it");
  expect(readFileSync(path).equals(key)).toBe(true);
  symlinkSync(join(folder, "nothing"), dangling);
  expect((await navarch(["slurm", "munge-key", "-o", dangling])).code).toBe(1);
  expect((await navarch(["slurm", "munge-key", "-o", path, "--force"])).code).toBe(0);
  expect(readFileSync(path).equals(key)).toBe(false);
  expect(statSync(path).mode & 0o7777).toBe(0o400);
  expect(readdirSync(folder).filter((name) => name.endsWith(".part"))).toEqual([]);
});

test("S20: --secret prints the key of a file, or a new one", async () => {
  const path = join(folder, "secret");
  expect((await navarch(["slurm", "munge-key", "-o", path])).code).toBe(0);
  const key = readFileSync(path).toString("base64");
  const shown = await navarch(["slurm", "munge-key", "--secret", "-i", path]);
  expect({ code: shown.code, err: shown.err }).toEqual({ code: 0, err: "" });
  expect(parse(shown.out)).toEqual({
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: "slurm-munge-key", namespace: "slurm" },
    type: "Opaque",
    data: { "munge.key": key },
  });
  const args = ["slurm", "munge-key", "--secret", "--namespace", "hpc", "--output", "json"];
  const drawn = json((await navarch(args)).out) as { items: [{ data: Record<string, string> }] };
  expect(drawn.items[0]).toMatchObject({ metadata: { namespace: "hpc" } });
  expect(Buffer.from(drawn.items[0].data["munge.key"] ?? "", "base64").length).toBe(1024);
});

test.each([
  [[], 2, "needs --out FILE, or --secret"],
  [["--secret", "-o", "x"], 2, "leave out --out"],
  [["--secret", "--force"], 2, "--force belongs to --out"],
  [["-o", "x", "-i", "y"], 2, "--in needs --secret"],
  [["-o", "x", "--namespace", "y"], 2, "--namespace needs --secret"],
  [["--secret", "--namespace", "Not_A_Label"], 2, "expected lower-case letters"],
  [["-o", join(folder, "absent", "key")], 2, "does not exist either"],
  [["--secret", "-i", join(folder, "absent")], 2, "no such file"],
  [["--secret", "-i", "/dev/zero"], 2, "is not a regular file"],
  [["--secret", "-i", folder], 2, "is not a regular file"],
])("S20: munge-key %p ends with %p", async (args, code, message) => {
  const ended = await navarch(["slurm", "munge-key", ...args]);
  expect({ code: ended.code, out: ended.out }).toEqual({ code, out: "" });
  expect(ended.err).toContain(message);
});

test("S20: a file of a size that is no key's is refused, and its text is not shown", async () => {
  const [short, long] = [join(folder, "short"), join(folder, "long")];
  await Bun.write(short, "hunter2");
  await Bun.write(long, Buffer.alloc(70_000, "x"));
  for (const path of [short, long]) {
    const { code, out, err } = await navarch(["slurm", "munge-key", "--secret", "-i", path]);
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(err).toContain("expected a munge key of 32 to 65536 bytes");
    expect(err).not.toContain("hunter2");
  }
});
