/**
 * Go's text/template and the YAML reader of Kubernetes' tools as the judges of ours: a small
 * program, built once with the installed Go and kept under a name that says what it was made of.
 *
 * Adapter: processes, files, the environment.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

const FOLDER = join(import.meta.dir, "oracle");

export type Asked = { text: string; data: unknown } | { yaml: string };
export type Judged = { out: string; err: string };
export type Oracle = (asked: readonly Asked[]) => Promise<Judged[]>;

/** The judge, or why there is none: without Go it cannot be built. */
export async function openOracle(): Promise<Oracle | string> {
  const usual = "/usr/local/go/bin/go";
  const go = Bun.which("go") ?? (existsSync(usual) ? usual : null);
  if (go === null) return "Go is not installed";
  const version = await new Response(Bun.spawn([go, "version"]).stdout).text();
  const hash = createHash("sha256").update(version);
  for (const file of ["main.go", "go.mod", "go.sum"]) hash.update(readFileSync(join(FOLDER, file)));
  const cache = process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache");
  const home = join(cache, "navarch-test");
  const path = join(home, `go-template-${hash.digest("hex").slice(0, 12)}`);
  if (!existsSync(path)) {
    mkdirSync(home, { recursive: true });
    const folder = mkdtempSync(join(home, "making-"));
    const made = join(folder, "oracle");
    const build = Bun.spawn([go, "build", "-o", made, "."], {
      cwd: FOLDER,
      env: { ...process.env, CGO_ENABLED: "0", GOFLAGS: "-mod=readonly", GOTOOLCHAIN: "local" },
      stderr: "pipe",
    });
    const why = await new Response(build.stderr).text();
    const code = await build.exited;
    if (code === 0) renameSync(made, path);
    rmSync(folder, { recursive: true });
    if (code !== 0) return `go build: ${why}`;
  }
  return (asked) => ask(path, asked);
}

async function ask(path: string, asked: readonly Asked[]): Promise<Judged[]> {
  const lines = asked.map((one) => JSON.stringify(one)).join("\n");
  const child = Bun.spawn([path], { stdin: Buffer.from(lines), stdout: "pipe" });
  const out = await new Response(child.stdout).text();
  return out
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Judged);
}
