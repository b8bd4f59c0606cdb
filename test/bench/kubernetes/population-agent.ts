/**
 * One virtual node's agent: registers, reports samples and clean checks, and once a fault.
 * Adapter: network.
 */
import { REPORT_VERSION } from "../../../schema/report.ts";
import { cleanCheck, inventoryOf, sampleOf } from "../report.ts";
import { wallMs } from "./talker.ts";

/** Every how manieth report carries a full check: every minute at the usual pace. */
const CHECK_EVERY = 6;

export class PopulationAgent {
  readonly name: string;
  private readonly index: number;
  private readonly url: string;
  private readonly token: string;
  private readonly failed: (why: string) => void;
  private socket: WebSocket | null = null;
  private reports = 0;
  private wantsInventory = true;
  private orphaned = false;
  private answered: (() => void) | null = null;

  constructor(
    index: number,
    from: { url: string; token: string; name: string; failed: (why: string) => void },
  ) {
    this.index = index;
    this.url = from.url.replace("http", "ws");
    this.token = from.token;
    this.name = from.name;
    this.failed = (why) => from.failed(`${this.name}: ${why}`);
  }

  /** Connects and registers; resolves with the control plane's first answer. */
  async open(): Promise<void> {
    const headers = { authorization: `Bearer ${this.token}` };
    const socket = new WebSocket(`${this.url}/v1/agent/stream`, { headers });
    const open = Promise.withResolvers<void>();
    socket.onopen = () => open.resolve();
    socket.onclose = ({ code, reason }) => {
      if (this.socket === null) open.reject(new Error(`cannot connect: ${code} ${reason}`));
      else if (!this.orphaned) this.failed(`closed ${code} ${reason}`);
      this.socket = null;
    };
    socket.onmessage = ({ data }) => this.hear(String(data));
    await open.promise;
    this.socket = socket;
    const first = Promise.withResolvers<void>();
    this.answered = first.resolve;
    this.report();
    await first.promise;
  }

  /** The next report. */
  report(): void {
    this.socket?.send(this.print([]));
  }

  /** A report with the fault; wall ms of the instant before it was handed over. */
  fail(xid: number): number {
    const text = this.print([{ seq: 1, finding: this.fault(xid) }]);
    const at = wallMs();
    this.socket?.send(text);
    return at;
  }

  private hear(text: string): void {
    const reply = JSON.parse(text) as { want_inventory?: boolean; error?: unknown };
    if (reply.error !== undefined) this.refused(text.slice(0, 200));
    this.wantsInventory = reply.want_inventory ?? false;
    this.answered?.();
    this.answered = null;
  }

  /** Whose machine has been ended says no more; any other refusal is a fault of the bench. */
  private refused(text: string): void {
    if (!text.includes(" is gone")) return this.failed(text);
    this.orphaned = true;
    this.socket?.close();
  }

  private print(findings: object[]): string {
    const n = this.reports++;
    const at = new Date().toISOString();
    const inventory = this.wantsInventory ? inventoryOf(this.index, this.name) : undefined;
    const checks = inventory !== undefined || (n + this.index) % CHECK_EVERY === 0;
    return JSON.stringify({
      version: REPORT_VERSION,
      node_id: this.name,
      boot_id: `boot-${this.index}`,
      stream: `stream-${this.index}`,
      agent_version: "0.1.0",
      simulated: true,
      sent_at: at,
      inventory,
      sample: sampleOf(this.index, n, at),
      check: checks ? cleanCheck(at) : undefined,
      findings: findings.length === 0 ? undefined : findings,
    });
  }

  private fault(xid: number): object {
    const [gpu] = inventoryOf(this.index, this.name).gpus;
    return {
      kind: "xid",
      code: xid,
      pci: gpu?.pci_bus_id.replace(/^0{4}(?=[0-9a-f]{4}:)/i, "") ?? null,
      gpu_index: 0,
      gpu_uuid: gpu?.uuid ?? null,
      at: new Date().toISOString(),
      boot_id: `boot-${this.index}`,
      severity: "fatal",
      message: `NVRM: Xid: ${xid}, a fault of a bench`,
      source: "kmsg",
    };
  }
}
