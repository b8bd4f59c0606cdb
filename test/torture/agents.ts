/**
 * Speaks for every agent of the fleet over the agents' own route, as each instance runs and ends in
 * the clouds' journals. Real agents are proven elsewhere (`test/real/`); here one process stands
 * for all, because a kill every half second would leave real ones in their reconnection back-off
 * and the control plane without anything to do. Adapter: network.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import type { Entry } from "../../reconciler/provider/fake/entry.ts";
import { REPORT_VERSION } from "../../schema/report.ts";

/** Between two reports of one agent, and between two of its checks. */
const REPORT_MS = 120;
const CHECK_MS = 350;
/** A stopped control plane takes the connection and never answers. */
const ANSWER_MS = 1_500;

const Reply = v.object({
  ack_seq: v.number(),
  want_inventory: v.boolean(),
  node_status: v.nullish(v.string(), null),
});

const PCI = "0000:18:00.0";

class Voice {
  readonly nodeId: string;
  readonly cloud: string;
  readonly folder: string;
  status: string | null = null;
  /** Findings made and acknowledged. */
  made = 0;
  acknowledged = 0;
  nextMs = 0;
  busy = false;
  #checkMs = 0;
  #inventory = true;
  readonly #bootId = crypto.randomUUID();
  /** Its own: a GPU that comes back under another instance is a lemon, and another story. */
  readonly #gpu = { index: 0, uuid: `GPU-${crypto.randomUUID()}` };
  readonly #stream = crypto.randomUUID();

  constructor(cloud: string, nodeId: string, folder: string) {
    this.cloud = cloud;
    this.nodeId = nodeId;
    this.folder = folder;
  }

  get token(): string | null {
    try {
      return readFileSync(join(this.folder, "token"), "utf8").trim();
    } catch {
      return null;
    }
  }

  print(nowMs: number): string {
    const at = new Date(nowMs).toISOString();
    const checks = this.#inventory || nowMs - this.#checkMs >= CHECK_MS;
    if (checks) this.#checkMs = nowMs;
    const seqs = Array.from(
      { length: this.made - this.acknowledged },
      (_, i) => this.acknowledged + 1 + i,
    );
    return JSON.stringify({
      version: REPORT_VERSION,
      node_id: this.nodeId,
      boot_id: this.#bootId,
      stream: this.#stream,
      agent_version: "torture",
      simulated: true,
      sent_at: at,
      inventory: this.#inventory ? this.#print() : null,
      sample: { at, gpus: [{ ...this.#gpu, utilization_percent: 0, processes: 0 }] },
      check: checks ? check(at) : null,
      findings: seqs.map((seq) => ({ seq, finding: fallenOff(at, this.#bootId, this.#gpu.uuid) })),
    });
  }

  #print(): unknown {
    const gpu = { ...this.#gpu, name: "NVIDIA H100 80GB HBM3", pci_bus_id: `0000${PCI}` };
    return { hostname: this.nodeId, gpus: [gpu] };
  }

  take(reply: v.InferOutput<typeof Reply>): void {
    this.acknowledged = Math.max(this.acknowledged, reply.ack_seq);
    this.#inventory = reply.want_inventory;
    this.status = reply.node_status;
  }
}

const check = (at: string): unknown => {
  const probes = [{ name: "count", outcome: "ok", duration_ms: 0.1, message: null }];
  return { at, conclusive: true, probes, expected_gpus: 1, present_gpus: 1, active: [] };
};

const fallenOff = (at: string, bootId: string, uuid: string): unknown => ({
  kind: "xid",
  code: 79,
  pci: PCI,
  gpu_index: 0,
  gpu_uuid: uuid,
  at,
  boot_id: bootId,
  severity: "fatal",
  message: "NVRM: Xid (PCI:0000:18:00): 79, GPU has fallen off the bus.",
  source: "sim",
});

export class FleetAgents {
  /** Of the control plane; `null` while there is none. */
  url: string | null = null;
  readonly #voices = new Map<string, Voice>();
  readonly #nodes = new Map<string, string>();
  readonly #folderOf: (cloud: string) => string;
  readonly #adminToken: () => string;

  constructor(from: { folderOf: (cloud: string) => string; adminToken: () => string }) {
    this.#folderOf = from.folderOf;
    this.#adminToken = from.adminToken;
  }

  /** `own` tells instances of the fleet from those of strangers, whose agents report elsewhere. */
  see(cloud: string, entries: readonly Entry[], fleetId: string): void {
    for (const entry of entries) {
      if (entry.kind === "create.accepted") {
        if (entry.request.tags["navarch-fleet"] === fleetId)
          this.#nodes.set(entry.id, entry.request.tags["navarch-node"] ?? entry.nodeId);
      } else if (entry.kind === "running") {
        const nodeId = this.#nodes.get(entry.id);
        const folder = join(this.#folderOf(cloud), "instance", entry.id);
        if (nodeId !== undefined) this.#voices.set(entry.id, new Voice(cloud, nodeId, folder));
      } else if (entry.kind === "terminate.accepted" || entry.kind === "terminated") {
        this.#voices.delete(entry.id);
      }
    }
  }

  /** Sends what is due; does not wait for answers. */
  speak(): void {
    const { url } = this;
    if (url === null) return;
    const nowMs = Date.now();
    for (const voice of this.#voices.values()) {
      if (voice.busy || voice.nextMs > nowMs) continue;
      voice.busy = true;
      voice.nextMs = nowMs + REPORT_MS;
      void this.#say(voice, url, nowMs);
    }
  }

  async #say(voice: Voice, url: string, nowMs: number): Promise<void> {
    try {
      const token = voice.token ?? this.#adminToken();
      const response = await fetch(`${url}/v1/agent/report`, {
        method: "POST",
        headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
        body: voice.print(nowMs),
        signal: AbortSignal.timeout(ANSWER_MS),
      });
      if (response.ok) voice.take(v.parse(Reply, await response.json()));
    } catch {
      // Killed under it: the report is sent again to the next process, as an agent would.
    } finally {
      voice.busy = false;
    }
  }

  /** Nodes in service, by what the control plane told their agents last. */
  serving(): string[] {
    const all = [...this.#voices.values()];
    return all.filter((one) => one.status === "NODE_STATUS_ACTIVE").map((one) => one.nodeId);
  }

  /** XID 79 on a node's GPU: in its next reports until it is acknowledged. */
  strike(nodeId: string): Voice | null {
    for (const voice of this.#voices.values()) {
      if (voice.nodeId !== nodeId) continue;
      voice.made += 1;
      voice.nextMs = 0;
      return voice;
    }
    return null;
  }

  /** Ids of instances whose agent speaks, of one cloud. */
  running(cloud: string): string[] {
    return [...this.#voices].filter(([, voice]) => voice.cloud === cloud).map(([id]) => id);
  }
}
