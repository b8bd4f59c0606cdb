/**
 * The attacks themselves. Each has a bounded number of connections, opens new ones at a bounded
 * pace, and ends by the clock. Adapter: network, timers.
 */
import { connect } from "node:net";
import { REPORT_VERSION } from "../../schema/report.ts";
import { applicationFinding, inventoryOf } from "../bench/report.ts";
import type { AttackOrder, AttackResult } from "./order.ts";
import { headOf } from "./socket.ts";

const MIB = 1024 * 1024;
/** New connections a second, of all lanes together. */
const CONNECTS_PER_SECOND = 400;
/** Between two bytes of a slow body. */
const DRIP_MS = 1_000;
/** Made once: what the attacker's own memory costs is not the control plane's. */
const BYTES = Buffer.alloc(MIB, "x");
const FINDINGS = 200;

type Lane = { closed: Promise<void>; close(): void };

export class Attacker {
  private readonly order: AttackOrder;
  private readonly until: number;
  private readonly result: AttackResult = { connects: 0, closed: 0, mebibytes: 0, answers: {} };
  private readonly lanes = new Set<Lane>();
  private serial = 0;

  constructor(order: AttackOrder) {
    this.order = order;
    this.until = performance.now() + order.forMs;
  }

  /** Resolves when its time is over and its connections are closed. */
  async run(): Promise<AttackResult> {
    const { connections } = this.order;
    const stepMs = 1_000 / CONNECTS_PER_SECOND;
    let due = performance.now();
    while (performance.now() < this.until) {
      const mayOpen = this.lanes.size < connections && performance.now() >= due;
      if (!mayOpen) {
        await Bun.sleep(2);
        continue;
      }
      due = Math.max(due + stepMs, performance.now() - 50);
      this.open();
    }
    for (const lane of this.lanes) lane.close();
    return this.result;
  }

  private open(): void {
    this.result.connects++;
    const lane = this.lane(++this.serial);
    this.lanes.add(lane);
    void lane.closed.then(() => {
      this.lanes.delete(lane);
      this.result.closed++;
    });
  }

  private lane(n: number): Lane {
    const { attack, token } = this.order;
    switch (attack) {
      case "guessed-bodies":
        return this.slowBody("/v1/nodes/n/cordon", `nvt.guess${n}`, MIB, MIB - 65_536);
      case "slow-bodies":
        return this.slowBody("/v1/agent/report", token, 250_000, 1);
      case "sockets":
        return this.socket(() => this.padded(200_000), true);
      case "rows":
        return n % 2 === 0 ? this.socket(() => this.findings(n), false) : this.posts(n);
      case "series":
        return this.socket(() => this.findings(n), false);
    }
  }

  private answered(what: string): void {
    this.result.answers[what] = (this.result.answers[what] ?? 0) + 1;
  }

  private sent(bytes: number): void {
    this.result.mebibytes += bytes / MIB;
  }

  /** A body of `length` bytes, of which the first come at once and the others never all. */
  private slowBody(path: string, token: string, length: number, first: number): Lane {
    const { hostname, port } = new URL(this.order.url);
    const socket = connect({ host: hostname, port: Number(port) });
    const closed = Promise.withResolvers<void>();
    socket.on("connect", () => {
      socket.write(headOf(path, token, length));
      socket.write(BYTES.subarray(0, first));
      this.sent(first);
    });
    const timer = setInterval(() => void socket.write("x"), DRIP_MS);
    socket.on("data", (chunk: Buffer) => {
      this.answered(/^HTTP\/1\.1 (\d{3})/.exec(chunk.toString("latin1"))?.[1] ?? "more");
    });
    socket.on("error", () => undefined);
    socket.on("close", () => {
      clearInterval(timer);
      closed.resolve();
    });
    return { closed: closed.promise, close: () => void socket.destroy() };
  }

  /** Reports over one WebSocket; `blind` ones do not even wait for the answer. */
  private socket(make: () => string, blind: boolean): Lane {
    const url = `${this.order.url.replace("http", "ws")}/v1/agent/stream`;
    const headers = { authorization: `Bearer ${this.order.token}` };
    const socket = new WebSocket(url, { headers });
    const closed = Promise.withResolvers<void>();
    const send = (): void => {
      if (socket.readyState !== WebSocket.OPEN || socket.bufferedAmount > MIB) return;
      const text = make();
      this.sent(text.length);
      socket.send(text);
    };
    const timer = setInterval(() => blind && send(), 10);
    socket.onopen = () => send();
    socket.onmessage = ({ data }) => {
      const code = /"error":\{"code":"(\w+)"/.exec(String(data).slice(0, 200))?.[1];
      this.answered(code ?? "taken");
      // A little pause where it is told to wait: still a hundred times what it may.
      if (code === undefined) send();
      else setTimeout(send, 5);
    };
    socket.onclose = ({ code }) => {
      clearInterval(timer);
      this.answered(`closed ${code}`);
      closed.resolve();
    };
    return { closed: closed.promise, close: () => socket.close() };
  }

  /** The same by POST, one after the other. */
  private posts(n: number): Lane {
    let open = true;
    const { url, token } = this.order;
    const work = async (): Promise<void> => {
      while (open && performance.now() < this.until) {
        const body = this.findings(n);
        this.sent(body.length);
        const headers = { authorization: `Bearer ${token}` };
        const answer = await fetch(`${url}/v1/agent/report`, { method: "POST", headers, body });
        await answer.arrayBuffer();
        this.answered(String(answer.status));
      }
    };
    const closed = work().catch(() => undefined);
    return { closed, close: () => void (open = false) };
  }

  private report(more: Record<string, unknown>): string {
    const { node } = this.order;
    return JSON.stringify({
      version: REPORT_VERSION,
      node_id: node,
      boot_id: `boot-${node}`,
      stream: "st",
      agent_version: "0.1.0",
      simulated: true,
      sent_at: new Date().toISOString(),
      inventory: inventoryOf(0, node),
      ...more,
    });
  }

  private padded(bytes: number): string {
    const finding = applicationFinding(0, "b", new Date().toISOString()) as { message: string };
    const one = { ...finding, message: "x".repeat(1_000) };
    const count = Math.floor(bytes / 1_300);
    const findings = Array.from({ length: count }, () => ({ seq: ++this.serial, finding: one }));
    return this.report({ findings });
  }

  private findings(lane: number): string {
    const at = new Date().toISOString();
    const one = applicationFinding(0, "b", at) as Record<string, unknown>;
    const isSeries = this.order.attack === "series";
    const findings = Array.from({ length: FINDINGS }, () => {
      const seq = ++this.serial;
      const made = { gpu_index: seq % 65, code: Math.floor(seq / 65) % 1_000 };
      return { seq, finding: isSeries ? { ...one, ...made } : one };
    });
    return this.report({ stream: `st-${lane}`, findings });
  }
}
