/**
 * Runs moto, an emulator of AWS, as a process, with botocore as the judge of what is sent to it.
 * Both come from PyPI into a virtual environment that is kept outside the checkout under a name
 * that says what it was made of.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { cacheRoot, withoutAddresses } from "../../kubernetes/binary.ts";

const REQUIREMENTS = join(import.meta.dir, "requirements.txt");
const ORACLE = join(import.meta.dir, "oracle.py");
const TAIL_CHARS = 1_500;

type Kind = "request" | "reply" | "quota" | "quota_reply";
export type Judged = { kind: Kind } & Record<string, unknown>;

export type Moto = {
  /** Of moto itself, without a proxy. */
  url: string;
  /** What botocore's model says against it. */
  judge(ask: Judged): Promise<string[]>;
  /** Forgets every resource. */
  reset(): Promise<void>;
  stop(): Promise<void>;
};

/** Why moto cannot run here, or `null` once it can. It installs itself: some 20 seconds, once. */
export async function whyNoMoto(): Promise<string | null> {
  if (existsSync(python())) return null;
  const base = Bun.which("python3");
  if (base === null) return "no python3 on this machine";
  mkdirSync(cacheRoot(), { recursive: true });
  // Only its programs' first lines hold the path, and none of them is run after the move.
  const scratch = mkdtempSync(`${homeOf()}.build-`);
  try {
    for (const argv of [
      [base, "-m", "venv", scratch],
      [join(scratch, "bin/python"), "-m", "pip", "install", "--quiet", "-r", REQUIREMENTS],
    ]) {
      const child = Bun.spawn(argv, { stdio: ["ignore", "pipe", "pipe"] });
      const ends = [child.stdout, child.stderr].map((end) => new Response(end).text());
      const said = (await Promise.all(ends)).join("");
      if ((await child.exited) === 0) continue;
      return `moto cannot be installed: ${withoutAddresses(said).slice(-TAIL_CHARS)}`;
    }
    renameSync(scratch, homeOf());
  } catch (error) {
    // Another process may have been faster.
    if (!existsSync(python())) throw error;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  return null;
}

/** `moto-5.2.5-0123456789ab`: the hash is over all versions. */
function homeOf(): string {
  const text = readFileSync(REQUIREMENTS, "utf8");
  const version = /^moto==(\S+)$/m.exec(text)?.[1] ?? "unknown";
  const digest = createHash("sha256").update(text).digest("hex").slice(0, 12);
  return join(cacheRoot(), `moto-${version}-${digest}`);
}

const python = (): string => join(homeOf(), "bin/python");

export async function startMoto(): Promise<Moto> {
  const child = Bun.spawn([python(), ORACLE], {
    env: {
      PATH: process.env["PATH"] ?? "",
      MOTO_ENABLE_AMI_VALIDATION: "true",
      MOTO_EC2_ENABLE_INSTANCE_TYPE_VALIDATION: "true",
    },
    stdio: ["pipe", "pipe", "inherit"],
  });
  const waiting = new Map<number, (errors: string[]) => void>();
  const lines = linesOf(child.stdout);
  const first = (await lines.next()).value;
  if (first === undefined) throw new Error("moto did not start");
  const { port } = JSON.parse(first) as { port: number };
  const url = `http://127.0.0.1:${port}`;
  void (async () => {
    for await (const line of lines) {
      const { id, errors } = JSON.parse(line) as { id: number; errors: string[] };
      waiting.get(id)?.(errors);
      waiting.delete(id);
    }
  })();
  let asked = 0;
  return {
    url,
    judge(ask) {
      const id = (asked += 1);
      void child.stdin.write(`${JSON.stringify({ id, ...ask })}\n`);
      void child.stdin.flush();
      return new Promise((resolve) => waiting.set(id, resolve));
    },
    async reset() {
      await fetch(`${url}/moto-api/reset`, { method: "POST" });
    },
    async stop() {
      await child.stdin.end();
      child.kill();
      await child.exited;
    },
  };
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string, undefined> {
  let rest = "";
  const decoder = new TextDecoder();
  for await (const chunk of stream) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = parts.pop() ?? "";
    yield* parts;
  }
  return undefined;
}
