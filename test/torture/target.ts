/**
 * The process that is killed: the compiled control plane on a state folder of its own. Every life
 * binds a port of its own, because the harness's connections could be holding the old one.
 * Adapter: processes, files.
 */
import { closeSync, mkdirSync, openSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { cleanEnv } from "../fixture/plane/plane.ts";

/** How often the port file is looked at: a part of every start-up that is measured. */
const LOOK_MS = 2;

export class Target {
  readonly #binary: string;
  readonly #state: string;
  readonly #config: string;
  #child: Bun.Subprocess | null = null;

  constructor(from: { binary: string; state: string; config: string }) {
    this.#binary = from.binary;
    this.#state = from.state;
    this.#config = from.config;
    mkdirSync(this.#scratch, { recursive: true });
  }

  get #portFile(): string {
    return join(this.#state, "port");
  }

  /** Where the binary unpacks its database addon, which a killed one leaves behind. */
  get #scratch(): string {
    return join(this.#state, "scratch");
  }

  get logPath(): string {
    return join(this.#state, "control-plane.log");
  }

  spawn(): void {
    rmSync(this.#portFile, { force: true });
    const log = openSync(this.logPath, "a", 0o600);
    const words = ["control-plane", "--config", this.#config, "--state", this.#state];
    this.#child = Bun.spawn([this.#binary, ...words, "--test-port-file", this.#portFile], {
      env: cleanEnv({ TMPDIR: this.#scratch }),
      stdin: "ignore",
      stdout: log,
      stderr: log,
    });
    closeSync(log);
  }

  /** The address once it listens; throws if it ends before, or does not within `limitMs`. */
  async listening(limitMs: number): Promise<string> {
    const until = performance.now() + limitMs;
    while (performance.now() < until) {
      if (this.#child?.exitCode != null) throw new Error(`ended with ${this.#child.exitCode}`);
      const port = readText(this.#portFile);
      if (port.endsWith("\n")) return `http://127.0.0.1:${port.trim()}`;
      await Bun.sleep(LOOK_MS);
    }
    throw new Error(`does not listen within ${limitMs / 1_000} s`);
  }

  /** Exit status, while it should be running; `null` if it is. */
  fallen(): number | null {
    return this.#child?.exitCode ?? null;
  }

  signal(name: "SIGSTOP" | "SIGCONT"): void {
    this.#child?.kill(name);
  }

  /** No goodbye: what is not durable is lost. */
  async kill(): Promise<void> {
    this.#child?.kill("SIGKILL");
    await this.#child?.exited;
    this.#child = null;
    rmSync(this.#scratch, { recursive: true, force: true });
    mkdirSync(this.#scratch, { recursive: true });
  }

  /** Lines of its log at level error: a failed activation, a broken plan. */
  errors(): string[] {
    return readText(this.logPath)
      .split("\n")
      .filter((line) => line.includes('"level":"error"'));
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
