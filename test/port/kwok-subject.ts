/**
 * The provider `kwok` for the port's contract, on any API server: faults are injected between the
 * provider and the server.
 */
import type { Instance } from "../../reconciler/core/provider.ts";
import type { Clock } from "../../reconciler/core/clock.ts";
import type { KubeAnswer, KubeApi, KubeRequest } from "../../reconciler/kubernetes/api.ts";
import type { Faults } from "../../reconciler/provider/fake/fault.ts";
import { listAll } from "../../reconciler/provider/call/cluster-call.ts";
import { BoughtNode, instanceOf, TOKEN } from "../../reconciler/provider/kwok/instance.ts";
import { type AgentHost, openKwok } from "../../reconciler/provider/kwok/kwok.ts";
import type { InstanceId } from "../../schema/id.ts";
import { contractFleetId, type ContractSubject } from "./provider.contract.ts";

const refusal = (status: number, reason: string, message: string): KubeAnswer => ({
  kind: "refused",
  ...{ status, reason, message, causes: [], retryAfterMs: null },
});
/** What an API server answers where it refuses at once. */
const REFUSALS: Readonly<Record<string, KubeAnswer>> = {
  bad_request: refusal(422, "Invalid", "Node is invalid: metadata.name: Invalid value"),
  quota: refusal(403, "Forbidden", "nodes is forbidden: exceeded quota: nodes, requested: 1"),
  rate_limit: refusal(429, "TooManyRequests", "too many requests"),
  auth: refusal(403, "Forbidden", 'nodes is forbidden: User "x" cannot create resource'),
};
const LOST: KubeAnswer = { kind: "lost", message: "connection reset" };

const isPurchase = ({ verb, path, query }: KubeRequest): boolean =>
  verb === "create" && path === "/api/v1/nodes" && query?.["dryRun"] === undefined;

/** Puts faults before the server; `land` sends what is late. */
class Between implements KubeApi {
  readonly #api: KubeApi;
  readonly #late: KubeRequest[] = [];
  #left: Record<string, number> = {};
  #faults: Faults = {};
  asks = 0;

  constructor(api: KubeApi) {
    this.#api = api;
  }

  set(faults: Faults): void {
    this.#faults = faults;
    this.#left = {};
  }

  async land(): Promise<void> {
    for (const request of this.#late.splice(0)) await this.#api.call(request);
  }

  #isLeft(name: string, chance: unknown): boolean {
    if (typeof chance !== "object" || chance === null || !("times" in chance)) return false;
    this.#left[name] ??= Number(chance.times);
    return this.#left[name]-- > 0;
  }

  async call(request: KubeRequest): Promise<KubeAnswer> {
    const { refuse, loseReply, loseAsk, lateLanding, listFails } = this.#faults;
    const times = { times: listFails ?? 0 };
    if (request.verb === "list" && this.#isLeft("list", times)) return REFUSALS.rate_limit ?? LOST;
    if (isPurchase(request)) {
      if (this.#isLeft("ask", loseAsk?.create)) return LOST;
      this.asks += 1;
      if (refuse !== undefined && this.#isLeft("refuse", refuse)) {
        return REFUSALS[refuse.class] ?? LOST;
      }
      if (this.#isLeft("late", lateLanding)) {
        this.#late.push(request);
        return LOST;
      }
    }
    const answer = await this.#api.call(request);
    if (isPurchase(request) && this.#isLeft("create", loseReply?.create)) return LOST;
    if (request.verb === "delete" && this.#isLeft("end", loseReply?.terminate)) return LOST;
    return answer;
  }

  watch(...given: Parameters<KubeApi["watch"]>) {
    return this.#api.watch(...given);
  }

  /** The server outlives the provider. */
  close(): void {}
}

export const NO_AGENTS: AgentHost = {
  prepare: () => undefined,
  trouble: () => null,
  close: () => undefined,
};

/** `clear` removes every virtual Node. */
export function kwokSubject(
  api: KubeApi,
  clock: Clock,
  clear: () => Promise<void>,
): ContractSubject {
  const between = new Between(api);
  const seen = new Map<InstanceId, { instance: Instance; token: string }>();
  const provider = openKwok({
    name: "virtual",
    fleetId: contractFleetId,
    api: between,
    clock,
    types: new Map([
      ["h100x8", 8],
      ["a100x8", 8],
    ]),
    isTainted: false,
    agents: NO_AGENTS,
    callMs: 5_000,
  });
  const live = async (): Promise<Instance[]> => {
    const query = { labelSelector: "type=kwok" };
    const ask = { path: "/api/v1/nodes", query, schema: BoughtNode, timeoutMs: 5_000 };
    const answer = await listAll(api, ask);
    if (answer.kind === "failed") throw new Error(answer.message);
    return answer.items.map((node) => {
      const instance = instanceOf(node);
      seen.set(instance.id, { instance, token: node.metadata.annotations[TOKEN] ?? "" });
      return instance;
    });
  };
  return {
    provider: {
      ...provider,
      async terminate(id, fence) {
        // What ends at once is otherwise never seen.
        await live();
        return provider.terminate(id, fence);
      },
    },
    step: () => between.land(),
    setFaults: (next) => between.set(next),
    async reality() {
      const all = await live();
      const ids = new Set(all.map(({ id }) => id));
      const ended = [...seen.values()].filter(({ instance }) => !ids.has(instance.id));
      const byToken = Map.groupBy(seen.values(), ({ token }) => token);
      const doubles = [...byToken].flatMap(([token, ones]) =>
        ones.length > 1 ? [{ token, ids: ones.map(({ instance }) => instance.id) }] : [],
      );
      const terminated = ended.map(({ instance }) => instance);
      return { live: all, terminated, asks: between.asks, pending: 0, doubles, overlaps: [] };
    },
    async close() {
      await provider.close();
      await clear();
    },
    forgets: true,
    ignoresFences: true,
    hasNoStock: true,
    endsAtOnce: true,
    isConsistent: true,
  };
}
