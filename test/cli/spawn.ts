/**
 * Runs `navarch` from source as a process of its own, with an environment that holds nothing of the
 * person's who runs the tests.
 */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

const ROOT = dirname(dirname(import.meta.dir));
const MAIN = join(ROOT, "cli", "main.ts");

/** An empty home: no token of anybody lies in it. */
export const HOME = mkdtempSync(join(tmpdir(), "navarch-cli-"));

export type Ended = { code: number; out: string; err: string };
export type Env = Record<string, string>;

/** The process is killed after ten seconds, and then ends with another status than any of ours. */
export async function navarch(args: readonly string[], env: Env = {}, input = ""): Promise<Ended> {
  const child = startNavarch(args, env, input);
  const [out, err, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { code, out, err };
}

/** The child itself, for what does not end by itself. */
export function startNavarch(args: readonly string[], env: Env = {}, input = "") {
  return Bun.spawn([process.execPath, MAIN, ...args], {
    cwd: ROOT,
    env: { PATH: process.env["PATH"] ?? "", HOME, ...env },
    stdin: new Blob([input]),
    stdout: "pipe",
    stderr: "pipe",
    timeout: 10_000,
  });
}

/** `json(text)` fails the test on anything but exactly one JSON value. */
export function json(text: string): unknown {
  return JSON.parse(text);
}
