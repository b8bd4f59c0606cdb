/**
 * Keeps the fleet from ever coming to rest: one act at a time of hardware, of the clouds, of people
 * and of whoever else works in the same accounts. An act that finds the control plane dead is lost,
 * as a person's would be. Adapter: files, network, clock.
 */
import { renameSync, writeFileSync } from "node:fs";
import * as v from "valibot";
import type { Faults } from "../../reconciler/provider/fake/fault.ts";
import type { FleetAgents } from "./agents.ts";
import type { Random } from "./random.ts";
import { CALM, drawCloudFault } from "./cloud-fault.ts";
import type { OtherTenants } from "./other-tenants.ts";
import { faultFile, NODES_MAX, NODES_MIN, type Setting } from "./setting.ts";

const ACTS = {
  strike: 26,
  remove: 12,
  scale: 14,
  cloud_fault: 18,
  replace: 8,
  cordon: 6,
  uncordon: 8,
  drain: 2,
  terminate: 3,
  orphan: 3,
};

const ANSWER_MS = 4_000;

const Nodes = v.object({
  nodes: v.array(
    v.object({
      node_id: v.string(),
      phase: v.string(),
      cordons: v.object({ human: v.nullable(v.unknown()) }),
    }),
  ),
});

export class Churn {
  readonly #random: Random;
  readonly #settings: readonly Setting[];
  readonly #folder: string;
  readonly #agents: FleetAgents;
  readonly #tenants: OtherTenants;
  readonly #adminToken: () => string;
  /** How often each act was done. */
  readonly done = new Map<string, number>();

  constructor(from: {
    random: Random;
    settings: readonly Setting[];
    folder: string;
    agents: FleetAgents;
    tenants: OtherTenants;
    adminToken: () => string;
  }) {
    this.#random = from.random;
    this.#settings = from.settings;
    this.#folder = from.folder;
    this.#agents = from.agents;
    this.#tenants = from.tenants;
    this.#adminToken = from.adminToken;
  }

  /** One act, drawn now. */
  async act(): Promise<void> {
    const random = this.#random;
    const name = random.weighted(ACTS);
    const setting = random.pick(this.#settings);
    if (setting === null) return;
    this.done.set(name, (this.done.get(name) ?? 0) + 1);
    const node = random.pick(this.#agents.serving()) ?? "";
    switch (name) {
      case "strike":
        this.#agents.strike(node);
        return;
      case "remove":
        this.#tenants.remove(setting.name, random.pick(this.#agents.running(setting.name)) ?? "");
        return;
      case "scale":
        await this.size(setting.name, random.whole(NODES_MIN, NODES_MAX));
        return;
      case "cloud_fault":
        this.#curse(setting, drawCloudFault(random).faults);
        return;
      case "orphan":
        await this.#tenants.orphan(setting.name, random.whole(0, NODES_MAX));
        return;
      case "uncordon":
        await this.#order(random.pick(await this.#marked()) ?? "", name);
        return;
      case "replace":
      case "cordon":
      case "drain":
      case "terminate":
        await this.#order(node, name);
    }
  }

  /** Strikes a node in service: its control plane has a new verdict to act on. */
  strike(): { told: () => boolean } | null {
    const voice = this.#agents.strike(this.#random.pick(this.#agents.serving()) ?? "");
    return voice === null ? null : { told: () => voice.acknowledged === voice.made };
  }

  #curse(setting: Setting, faults: Faults): void {
    const path = faultFile(this.#folder, setting.name);
    writeFileSync(`${path}.new`, JSON.stringify(faults));
    renameSync(`${path}.new`, path);
  }

  /** Faults stop. */
  calm(): void {
    for (const setting of this.#settings) this.#curse(setting, CALM);
  }

  /** A pool's wanted size; false if nobody took it. */
  async size(pool: string, nodes: number): Promise<boolean> {
    const answer = await this.#ask("PUT", `/pools/${pool}/size`, { nodes, clamp: true });
    return answer?.ok === true;
  }

  /** Lifts what people did; what is too sick to be let back is replaced. */
  async relent(): Promise<void> {
    for (const id of await this.#marked()) {
      const answer = await this.#order(id, "uncordon");
      if (answer?.status === 409) await this.#order(id, "replace");
    }
  }

  /** Nodes that wait for a person. */
  async #marked(): Promise<string[]> {
    const answer = await this.#ask("GET", "/nodes", null);
    if (answer?.ok !== true) return [];
    const { nodes } = v.parse(Nodes, await answer.json());
    return nodes
      .filter(({ phase, cordons }) => phase === "held" || cordons.human !== null)
      .filter(({ phase }) => phase !== "terminating" && phase !== "gone")
      .map((node) => node.node_id);
  }

  #order(node: string, type: string): Promise<Response | null> {
    return this.#ask("POST", `/nodes/${node}/${type}`, { reason: "torture" });
  }

  async #ask(method: string, path: string, body: unknown): Promise<Response | null> {
    const { url } = this.#agents;
    if (url === null) return null;
    try {
      return await fetch(`${url}/api/v1${path}`, {
        method,
        headers: {
          authorization: `Bearer ${this.#adminToken()}`,
          "content-type": "application/json",
        },
        ...(body === null ? {} : { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(ANSWER_MS),
      });
    } catch {
      return null;
    }
  }
}
