/**
 * The shell port on an open ssh2 connection. Every call ends: with the command, at its deadline, by
 * its signal, or with the connection. Input is read as fast as the peer takes it; output is not
 * kept.
 *
 * Adapter: timers and an SSH connection.
 */
import type { Client, ClientChannel } from "ssh2";
import type { ExecAnswer, ExecOptions, Shell, StreamName } from "../shell.ts";

/**
 * After a command's exit, output is read until it is silent for 1 s, at most 10 s in all: the rest
 * may still arrive, but a daemon that the command started may hold the streams open for ever.
 */
const LINGER_MS = 1_000;
const LINGER_PERIODS_MAX = 10;
/** A longer timer fires at once (HTML, "timers": a signed 32-bit number). */
const TIMER_MS_MAX = 2 ** 31 - 1;
/** Size of one write of a long input: bounds the memory of a connection. */
const WRITE_BYTES = 64 * 1_024;

export class Ssh2Shell implements Shell {
  readonly #client: Client;
  /** Connections that this one runs through, ended with it. */
  readonly #under: readonly Client[];
  readonly #calls = new Set<(answer: ExecAnswer) => void>();
  #why = "closed by the machine";
  #closed = false;

  constructor(client: Client, under: readonly Client[]) {
    this.#client = client;
    this.#under = under;
    client.on("error", (error) => {
      this.#why = /keepalive/i.test(error.message) ? "no sign of life for 15 s" : error.message;
    });
    client.on("close", () => this.#lose());
    for (const one of under) {
      one.on("error", (error) => (this.#why = `jump host: ${error.message}`));
      one.on("close", () => client.destroy());
    }
  }

  exec(command: string, options: ExecOptions): Promise<ExecAnswer> {
    const { timeoutMs, signal } = options;
    return new Promise((resolve) => {
      let channel: ClientChannel | null = null;
      let ended = false;
      const settle = (answer: ExecAnswer) => {
        if (ended) return;
        ended = true;
        clearTimeout(timer);
        signal?.removeEventListener("abort", abort);
        this.#calls.delete(settle);
        if (channel !== null) closeChannel(channel);
        resolve(answer);
      };
      const abort = () => settle({ kind: "aborted" });
      const waitMs = Math.min(timeoutMs, TIMER_MS_MAX);
      const timer = setTimeout(() => settle({ kind: "timeout" }), waitMs);
      this.#calls.add(settle);
      signal?.addEventListener("abort", abort, { once: true });
      if (signal?.aborted === true) return abort();
      if (this.#closed) return settle({ kind: "lost", message: this.#why });
      try {
        this.#client.exec(command, (error, opened) => {
          if (error) return settle({ kind: "lost", message: error.message });
          if (ended) return closeChannel(opened);
          channel = opened;
          follow(opened, options, settle, () => ended);
        });
      } catch (error) {
        settle({ kind: "lost", message: error instanceof Error ? error.message : String(error) });
      }
    });
  }

  close(): void {
    this.#why = "closed by us";
    this.#lose();
    this.#client.end();
    for (const one of this.#under) one.end();
  }

  #lose(): void {
    this.#closed = true;
    for (const settle of [...this.#calls]) settle({ kind: "lost", message: this.#why });
  }
}

function follow(
  channel: ClientChannel,
  { stdin, onData }: ExecOptions,
  settle: (answer: ExecAnswer) => void,
  isEnded: () => boolean,
): void {
  let exit: (ExecAnswer & { kind: "exited" }) | null = null;
  let linger: ReturnType<typeof setInterval> | undefined;
  let heard = 0;
  const finish = () => {
    clearInterval(linger);
    settle(exit ?? { kind: "lost", message: "the channel closed without an exit code" });
  };
  const hear = (stream: StreamName) => (chunk: Buffer) => {
    heard += chunk.length;
    if (!isEnded()) onData?.(stream, chunk);
  };
  channel.on("data", hear("stdout"));
  channel.stderr.on("data", hear("stderr"));
  channel.on("exit", (code: number | null, name?: string) => {
    exit = { kind: "exited", code, signal: name?.replace(/^SIG/, "") ?? null };
    let [before, periods] = [heard, 0];
    linger = setInterval(() => {
      periods++;
      if (heard === before || periods >= LINGER_PERIODS_MAX || isEnded()) finish();
      before = heard;
    }, LINGER_MS);
  });
  // A write to a channel that the machine has closed fails; the exit code says why it closed.
  channel.on("error", () => undefined);
  channel.on("close", finish);
  void feed(channel, stdin ?? "", isEnded);
}

/** Sends the input and its end; stops when the call has ended. Never rejects. */
async function feed(
  channel: ClientChannel,
  stdin: Exclude<ExecOptions["stdin"], undefined>,
  isEnded: () => boolean,
): Promise<void> {
  try {
    for await (const chunk of piecesOf(stdin)) {
      if (isEnded() || !channel.writable) return;
      if (!channel.write(chunk)) await drained(channel);
    }
  } catch {
    // The source failed: the machine reports that its input ended early.
  }
  if (!isEnded() && channel.writable) channel.end();
}

async function* piecesOf(
  stdin: Exclude<ExecOptions["stdin"], undefined>,
): AsyncIterable<Uint8Array> {
  const parts =
    typeof stdin === "string"
      ? [Buffer.from(stdin)]
      : stdin instanceof Uint8Array
        ? [stdin]
        : stdin;
  for await (const part of parts) {
    for (let at = 0; at < part.length; at += WRITE_BYTES) yield part.subarray(at, at + WRITE_BYTES);
  }
}

/** Room again, or the end of the channel. */
function drained(channel: ClientChannel): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      channel.off("drain", done);
      channel.off("close", done);
      resolve();
    };
    channel.on("drain", done);
    channel.on("close", done);
  });
}

function closeChannel(channel: ClientChannel): void {
  try {
    // Drop remaining output: a full window would keep the channel open.
    channel.resume();
    channel.stderr.resume();
    channel.close();
  } catch {
    // It is closed already.
  }
}
