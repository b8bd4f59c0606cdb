/**
 * What other people do in the same accounts: instances of another fleet, without a tag and with
 * copied tags, which nobody may touch; orphans with this fleet's mark, which must be found; and
 * deletions behind the product's back. It works on the clouds' own journals, beside the product.
 * Adapter: files, clock.
 */
import { type FakeCloud, openFakeProvider } from "../../reconciler/provider/fake/fake.ts";
import type { InstanceId } from "../../schema/id.ts";
import { PLANTED } from "./judge.ts";
import { BOOT_MS, INSTANCE_TYPE, type Setting, TERMINATE_MS } from "./setting.ts";

const STRANGER = "zzzzzz";

export class OtherTenants {
  readonly #clouds: ReadonlyMap<string, FakeCloud>;
  readonly #fleetId: string;
  #count = 0;

  private constructor(clouds: ReadonlyMap<string, FakeCloud>, fleetId: string) {
    this.#clouds = clouds;
    this.#fleetId = fleetId;
  }

  static async open(from: {
    settings: readonly Setting[];
    folderOf: (cloud: string) => string;
    fleetId: string;
    random: () => number;
  }): Promise<OtherTenants> {
    const clouds = new Map<string, FakeCloud>();
    for (const { name, class: cls } of from.settings) {
      const cloud = await openFakeProvider({
        name,
        stateDir: from.folderOf(name),
        settings: { class: cls, bootDelayMs: BOOT_MS, terminateDelayMs: TERMINATE_MS },
        fleetId: STRANGER,
        agents: "none",
        random: from.random,
        serverUrl: () => "",
        clock: { wallMs: () => Date.now(), after: (ms, work) => void setTimeout(work, ms) },
      });
      clouds.set(name, cloud);
    }
    return new OtherTenants(clouds, from.fleetId);
  }

  async #plant(cloud: string, tags: Record<string, string>): Promise<string | null> {
    this.#count += 1;
    const nodeId = `${PLANTED}${this.#count}`;
    const request = {
      token: nodeId,
      name: nodeId,
      nodeId,
      region: null,
      zone: null,
      instanceType: INSTANCE_TYPE,
      tags,
      market: "on-demand" as const,
      reservation: null,
      sshKeys: [],
    };
    const fence = { nodeId, fence: 1, sessionId: null };
    const answer = await this.#clouds.get(cloud)?.create(request, fence, null);
    return answer?.kind === "ok" ? answer.instance.id : null;
  }

  #tags(fleetId: string, pool: string, node: string, slot: number): Record<string, string> {
    return {
      "navarch-fleet": fleetId,
      "navarch-pool": pool,
      "navarch-node": node,
      "navarch-slot": String(slot),
      "navarch-gen": "1",
    };
  }

  /** Another fleet's, an untagged one, and one whose tags copy ours but for the fleet's id. */
  async strangers(cloud: string): Promise<string[]> {
    const copied = this.#tags(STRANGER, cloud, `${this.#fleetId}-${cloud}-0-1`, 0);
    const all = [
      await this.#plant(cloud, { "navarch-fleet": STRANGER, "navarch-pool": "theirs" }),
      await this.#plant(cloud, {}),
      await this.#plant(cloud, copied),
    ];
    const made = all.filter((id) => id !== null);
    if (made.length !== all.length) throw new Error(`cannot plant strangers in ${cloud}`);
    return made;
  }

  /** An instance with the fleet's mark that no row knows, as a killed process could leave. */
  async orphan(cloud: string, slot: number): Promise<string | null> {
    const node = `${PLANTED}${this.#count + 1}`;
    return this.#plant(cloud, this.#tags(this.#fleetId, cloud, node, slot));
  }

  /** Somebody deletes an instance at the console. */
  remove(cloud: string, id: string): boolean {
    return this.#clouds.get(cloud)?.deleteInstance(id as InstanceId) ?? false;
  }

  async close(): Promise<void> {
    for (const cloud of this.#clouds.values()) await cloud.close();
  }
}
