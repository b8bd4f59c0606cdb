/** Starts and drives the process that holds the live streams open. Adapter: child process. */
import { join } from "node:path";
import * as v from "valibot";
import { closeProcess, linesOf, openProcess } from "../process.ts";
import { type ReaderAsk, ReaderLine, type ReaderOrder } from "./order.ts";

type Kind = ReaderLine["kind"];

export class Readers {
  private readonly child: ReturnType<typeof openProcess>;
  private readonly lines: AsyncGenerator<string>;

  private constructor(child: Readers["child"], lines: Readers["lines"]) {
    this.child = child;
    this.lines = lines;
  }

  /** Resolves when all have logged in. `before`: a command that runs it, such as `taskset -c 0`. */
  static async start(order: ReaderOrder, folder: string, before: string[]): Promise<Readers> {
    const path = join(folder, "readers.json");
    await Bun.write(path, JSON.stringify(order));
    const command = [...before, process.execPath, join(import.meta.dir, "readers-main.ts"), path];
    const child = openProcess(command, { input: "pipe", output: "pipe" });
    if (!(child.stdout instanceof ReadableStream)) throw new Error("readers without output");
    const readers = new Readers(child, linesOf(child.stdout));
    try {
      await readers.next("ready");
      return readers;
    } catch (error) {
      await readers.close();
      throw error;
    }
  }

  /** Opens all streams; the milliseconds until each had its first event. */
  async open(): Promise<number[]> {
    return (await this.ask("open", "opened")).firstEventMs;
  }

  async begin(): Promise<void> {
    await this.ask("begin", "begun");
  }

  async end() {
    return (await this.ask("end", "ended")).received;
  }

  async leave(): Promise<void> {
    await this.ask("close", "closed");
  }

  async close(): Promise<void> {
    await closeProcess(this.child);
  }

  private ask<K extends Kind>(ask: ReaderAsk, kind: K): Promise<Extract<ReaderLine, { kind: K }>> {
    const { stdin } = this.child;
    if (stdin === undefined || typeof stdin === "number") throw new Error("no way to say it");
    void stdin.write(`${ask}\n`);
    void stdin.flush();
    return this.next(kind);
  }

  private async next<K extends Kind>(kind: K): Promise<Extract<ReaderLine, { kind: K }>> {
    const line = await this.lines.next();
    if (line.done === true) throw new Error(`the readers ended with ${await this.child.exited}`);
    const said = v.parse(ReaderLine, JSON.parse(line.value));
    if (said.kind !== kind) throw new Error(`expected ${kind}, found ${said.kind}`);
    return said as Extract<ReaderLine, { kind: K }>;
  }
}
