/**
 * The compiled `navarch-node`, made once per process, and processes of it that a test can watch.
 * Adapter: compiler, child processes, files.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const ROOT = join(import.meta.dir, "../..");
const FOLDER = mkdtempSync(join(tmpdir(), "navarch-node-"));
process.on("exit", () => rmSync(FOLDER, { recursive: true, force: true }));
let path: string | null = null;

/** Path of the binary. */
export function agentBinary(): string {
  if (path !== null) return path;
  const out = join(FOLDER, "navarch-node");
  const flags = [
    "--compile",
    "--minify",
    "--sourcemap",
    "--bytecode",
    "--format=esm",
    "--no-compile-autoload-dotenv",
    "--no-compile-autoload-bunfig",
  ];
  const argv = [process.execPath, "build", ...flags, "agent/main.ts", "--outfile", out];
  const made = Bun.spawnSync(argv, { cwd: ROOT, stdout: "pipe", stderr: "pipe" });
  if (!made.success) throw new Error(`compiling failed: ${made.stderr.toString()}`);
  path = out;
  return out;
}

/** A fresh folder that goes away with the test run. */
export function scratch(): string {
  return mkdtempSync(join(FOLDER, "scratch-"));
}

export type Running = {
  pid: number;
  /** All of stderr so far. */
  log(): string;
  signal(name: NodeJS.Signals): void;
  exited: Promise<number>;
};

/** Starts the agent; from source with `source`. Its environment holds nothing but `env`. */
export function startAgent(
  argv: readonly string[],
  { env = {}, source = false }: { env?: Record<string, string>; source?: boolean } = {},
): Running {
  const program = source ? [process.execPath, "run", join(ROOT, "agent/main.ts")] : [agentBinary()];
  const child = Bun.spawn([...program, ...argv], {
    cwd: "/",
    env: { PATH: "/usr/bin:/bin", ...env },
    stdio: ["ignore", "ignore", "pipe"],
  });
  let text = "";
  void (async () => {
    const decoder = new TextDecoder();
    for await (const chunk of child.stderr) text += decoder.decode(chunk, { stream: true });
  })();
  return {
    pid: child.pid,
    log: () => text,
    signal: (name) => child.kill(name),
    exited: child.exited,
  };
}

/** Runs to the end. */
export function runAgent(
  argv: readonly string[],
  env: Record<string, string> = {},
): { code: number; stdout: string; stderr: string; ms: number } {
  const startMs = performance.now();
  const done = Bun.spawnSync([agentBinary(), ...argv], {
    cwd: "/",
    env: { PATH: "/usr/bin:/bin", ...env },
    stdout: "pipe",
    stderr: "pipe",
  });
  return {
    code: done.exitCode,
    stdout: done.stdout.toString(),
    stderr: done.stderr.toString(),
    ms: performance.now() - startMs,
  };
}
