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

const reading: ReturnType<typeof startNavarch>[] = [];

/** A child whose output so far can be looked at. */
export function startReading(args: readonly string[], env: Env) {
  const child = startNavarch(args, env);
  reading.push(child);
  const said = { out: "", err: "" };
  const read = async (stream: ReadableStream<Uint8Array>, key: "out" | "err") => {
    const decoder = new TextDecoder();
    for await (const bytes of stream) said[key] += decoder.decode(bytes, { stream: true });
  };
  void read(child.stdout, "out");
  void read(child.stderr, "err");
  const until = async (is: () => boolean, what: string): Promise<void> => {
    const endMs = Date.now() + 9_000;
    while (!is()) {
      if (Date.now() > endMs) throw new Error(`${what}: ${JSON.stringify(said)}`);
      await Bun.sleep(20);
    }
  };
  return { child, said, until };
}

/** Ends every child of `startReading()` that still runs. */
export function endReading(): void {
  for (const child of reading) child.kill("SIGKILL");
}
