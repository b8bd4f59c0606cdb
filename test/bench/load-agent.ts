/**
 * One simulated agent of the load generator: its connection, the reports it has out, and what it
 * says next. Replies come in the order of the reports, so a queue of send times is enough.
 * Adapter: network.
 */
import * as v from "valibot";
import { REPORT_VERSION } from "../../schema/report.ts";
import { applicationFinding, cleanCheck, inventoryOf, sampleOf } from "./report.ts";

export type Tally = {
  latencies: number[];
  /** Of replies that did not wait for the generator. */
  undisturbed: number[];
  /** Whether a reply that is taken now did. */
  isLate(): boolean;
  sent: number;
  answered: number;
  errors: string[];
  findingsSent: number;
  findingsAcknowledged: number;
  reportBytes: number;
  /** Only what is sent while this is true is counted. */
  measuring: boolean;
  /** Begins a window; connections that broke before it are counted in it. */
  begin(): void;
};

export function newTally(isLate: () => boolean): Tally {
  const zero = () => ({
    latencies: [],
    undisturbed: [],
    sent: 0,
    answered: 0,
    findingsSent: 0,
    findingsAcknowledged: 0,
    reportBytes: 0,
  });
  return {
    ...zero(),
    errors: [],
    measuring: false,
    isLate,
    begin() {
      Object.assign(this, zero(), { measuring: true });
    },
  };
}

/** The little of a reply that matters here; the rest is not looked at, to stay cheap. */
const Reply = v.object({ ack_seq: v.number(), want_inventory: v.boolean() });

/** Kept errors; more of the same say nothing new. */
const ERRORS_MAX = 1_000;

type Out = { atMs: number; counted: boolean; seq: number; done: () => void };

export class LoadAgent {
  private readonly index: number;
  private readonly url: string;
  private readonly token: string;
  private readonly tally: Tally;
  private readonly checkEvery: number;
  private readonly name: string;
  private readonly bootId: string;
  private socket: WebSocket | null = null;
  private readonly out: Out[] = [];
  private reports = 0;
  private findings = 0;
  private wantsInventory = true;

  constructor(
    index: number,
    from: { url: string; token: string; name: string; checkEvery: number; tally: Tally },
  ) {
    this.index = index;
    this.url = from.url;
    this.token = from.token;
    this.tally = from.tally;
    this.checkEvery = from.checkEvery;
    this.name = from.name;
    this.bootId = `boot-${index}`;
  }

  connect(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const url = `${this.url.replace("http", "ws")}/v1/agent/stream`;
    const socket = new WebSocket(url, { headers: { authorization: `Bearer ${this.token}` } });
    socket.onopen = () => {
      this.socket = socket;
      resolve();
    };
    socket.onmessage = (message) => this.answered(String(message.data));
    socket.onclose = (event) => {
      const text = `closed ${event.code} ${event.reason}`;
      if (this.socket === null) reject(new Error(`cannot connect: ${text}`));
      else this.fail(text);
    };
    return promise;
  }

  close(): void {
    if (this.socket === null) return;
    this.socket.onclose = null;
    this.socket.close();
  }

  /** The first report: inventory and a clean check. Resolves with its reply. */
  register(): Promise<void> {
    return this.sendStream(0, true);
  }

  /** The next report over the open stream; `finding` adds an application's fault. */
  next(finding: boolean): void {
    void this.sendStream(finding ? ++this.findings : 0, false);
  }

  /** The same report as a POST, for the first time too. */
  async post(finding: boolean): Promise<void> {
    const seq = finding ? ++this.findings : 0;
    const out: Out = { atMs: 0, counted: this.tally.measuring, seq, done: () => undefined };
    const body = this.print(out.seq, this.wantsInventory);
    this.count(out, body);
    try {
      const headers = { authorization: `Bearer ${this.token}`, "content-type": "application/json" };
      out.atMs = performance.now();
      const url = `${this.url}/v1/agent/report`;
      const response = await fetch(url, { method: "POST", headers, body });
      this.settle(out, await response.text());
    } catch (error) {
      this.fail(String(error));
    }
  }

  private sendStream(seq: number, first: boolean): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const out: Out = { atMs: 0, counted: this.tally.measuring, seq, done: resolve };
    const body = this.print(seq, first || this.wantsInventory);
    this.count(out, body);
    this.out.push(out);
    out.atMs = performance.now();
    this.socket?.send(body);
    return promise;
  }

  private count(out: Out, body: string): void {
    if (!out.counted) return;
    this.tally.sent++;
    this.tally.reportBytes += body.length;
    if (out.seq > 0) this.tally.findingsSent++;
  }

  private print(seq: number, inventory: boolean): string {
    const n = this.reports++;
    const at = new Date().toISOString();
    const check = inventory || (n + this.index) % this.checkEvery === 0;
    const finding = () => [{ seq, finding: applicationFinding(this.index, this.bootId, at) }];
    return JSON.stringify({
      version: REPORT_VERSION,
      node_id: this.name,
      boot_id: this.bootId,
      stream: `stream-${this.index}`,
      agent_version: "0.1.0",
      simulated: true,
      sent_at: at,
      inventory: inventory ? inventoryOf(this.index, this.name) : undefined,
      sample: sampleOf(this.index, n, at),
      check: check ? cleanCheck(at) : undefined,
      findings: seq > 0 ? finding() : undefined,
    });
  }

  private answered(text: string): void {
    const out = this.out.shift();
    if (out === undefined) return; // A command or a cadence that nobody asked for.
    this.settle(out, text);
    out.done();
  }

  private settle(out: Out, text: string): void {
    const tookMs = performance.now() - out.atMs;
    const reply = v.safeParse(Reply, JSON.parse(text));
    if (!reply.success) return this.fail(text);
    this.wantsInventory = reply.output.want_inventory;
    if (!out.counted) return;
    this.tally.answered++;
    this.tally.latencies.push(tookMs);
    if (!this.tally.isLate()) this.tally.undisturbed.push(tookMs);
    if (out.seq > 0 && reply.output.ack_seq >= out.seq) this.tally.findingsAcknowledged++;
  }

  private fail(text: string): void {
    if (this.tally.errors.length < ERRORS_MAX) this.tally.errors.push(`${this.name}: ${text}`);
  }
}
