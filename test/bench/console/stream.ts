/**
 * One reader of a live page: a socket of its own, as a browser opens it, whose bytes and events are
 * counted and not kept. Adapter: network.
 */
import type { Socket } from "bun";

/** Longer than any line that begins an event. */
const TAIL_CHARS = 64;

export class Stream {
  bytes = 0;
  readonly events = new Map<string, number>();
  isOpen = false;
  /** Milliseconds from the request to the first event; `null` before it. */
  firstMs: number | null = null;
  private tail = "";
  private socket: Socket | null = null;
  private readonly first = Promise.withResolvers<void>();

  /** Resolves with the first event. Throws if the answer is no stream. */
  async open(url: URL, cookie: string): Promise<void> {
    const startMs = performance.now();
    const head =
      `GET ${url.pathname}${url.search} HTTP/1.1\r\nHost: ${url.host}\r\n` +
      `Accept: text/event-stream\r\nCookie: ${cookie}\r\n\r\n`;
    this.socket = await Bun.connect({
      hostname: url.hostname,
      port: Number(url.port),
      socket: {
        open: (socket) => void socket.write(head),
        data: (_, bytes) => this.take(bytes, startMs),
        close: () => this.over("the connection ended"),
        error: (_, error) => this.over(String(error)),
      },
    });
    this.isOpen = true;
    await this.first.promise;
  }

  /** Counts from nothing again. */
  begin(): void {
    this.bytes = 0;
    this.events.clear();
  }

  close(): void {
    this.isOpen = false;
    this.socket?.terminate();
  }

  get count(): number {
    let sum = 0;
    for (const one of this.events.values()) sum += one;
    return sum;
  }

  private take(bytes: Uint8Array, startMs: number): void {
    this.bytes += bytes.length;
    const text = this.tail + Buffer.from(bytes).toString("latin1");
    if (this.firstMs === null && !/^HTTP\/1\.1 (?:200|$)/.test(text.slice(0, 12))) {
      return this.over(text.slice(0, 200));
    }
    let end = 0;
    for (const found of text.matchAll(/^event: (\w+)\n/gm)) {
      const [line, name = ""] = found;
      end = found.index + line.length;
      this.events.set(name, (this.events.get(name) ?? 0) + 1);
    }
    if (this.firstMs === null && this.events.size === 0) {
      this.tail = text;
      return;
    }
    if (this.firstMs === null) {
      this.firstMs = performance.now() - startMs;
      this.first.resolve();
    }
    this.tail = text.slice(Math.max(end, text.length - TAIL_CHARS));
  }

  private over(why: string): void {
    this.isOpen = false;
    this.first.reject(new Error(`a stream did not begin: ${why}`));
  }
}
