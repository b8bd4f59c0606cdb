/**
 * Runs `navarch` from source on a terminal of its own (a pty of the kernel), and shows what a
 * person would see on it: the few control sequences that the program writes, carried out.
 */
import { join } from "node:path";
import { ROOT } from "../../build/product.ts";
import { HOME, type Env } from "./spawn.ts";

type Size = { cols: number; rows: number };

export type OnTerminal = {
  /** What is on the screen now. */
  lines(): string[];
  /** Everything that was written, as it was. */
  raw(): string;
  until(is: () => boolean, what: string): Promise<void>;
  resize(size: Size): void;
  /** Types these keys. */
  type(keys: string): void;
  ended: Promise<{ code: number; signal: string | number | null }>;
  kill(): void;
};

export function startOnTerminal(args: readonly string[], env: Env, size: Size): OnTerminal {
  let raw = "";
  const decoder = new TextDecoder();
  const child = Bun.spawn([process.execPath, join(ROOT, "cli", "main.ts"), ...args], {
    cwd: ROOT,
    env: { PATH: process.env["PATH"] ?? "", TERM: "xterm", HOME, ...env },
    terminal: {
      ...size,
      data(_terminal, bytes) {
        raw += decoder.decode(bytes, { stream: true });
      },
    },
    timeout: 60_000,
  });
  const { terminal } = child;
  if (terminal === undefined) throw new Error("there is no terminal");
  return {
    lines: () => screenOf(raw),
    raw: () => raw,
    async until(is, what) {
      const endMs = Date.now() + 15_000;
      while (!is()) {
        if (Date.now() > endMs) throw new Error(`${what}: ${JSON.stringify(raw.slice(-2_000))}`);
        await Bun.sleep(20);
      }
    },
    resize: ({ cols, rows }) => terminal.resize(cols, rows),
    type: (keys) => void terminal.write(keys),
    ended: child.exited.then((code) => ({ code, signal: child.signalCode })),
    kill: () => child.kill("SIGKILL"),
  };
}

/** Carriage return, line feed, and of CSI: erase line and below (K, J), home (H), colours (m). */
export function screenOf(text: string): string[] {
  const lines: string[] = [""];
  let [row, column] = [0, 0];
  for (const [token] of text.matchAll(/\x1b\[[0-9;?]*[A-Za-z]|[\s\S]/gu)) {
    const line = lines[row] ?? "";
    if (token === "\r") column = 0;
    else if (token === "\n") row += 1;
    else if (token === "\x1b[H") [row, column] = [0, 0];
    else if (token === "\x1b[K") lines[row] = line.slice(0, column);
    else if (token === "\x1b[J") lines.splice(row, lines.length, line.slice(0, column));
    else if (/^\x1b\[[0-9;]*m$/.test(token)) continue;
    else if (token.startsWith("\x1b")) throw new Error(`not known: ${JSON.stringify(token)}`);
    else {
      lines[row] = `${line.padEnd(column).slice(0, column)}${token}${line.slice(column + 1)}`;
      column += 1;
    }
    while (lines.length <= row) lines.push("");
  }
  return lines.map((line) => line.trimEnd());
}
