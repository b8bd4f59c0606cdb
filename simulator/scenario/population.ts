/**
 * The machines that faults may hit, by where they really are: rack, zone, region and provider are
 * attributes, never parts of a name. Order depends only on the order of joining and leaving.
 */
import { unreachable } from "../../schema/unreachable.ts";
import type { Random } from "../engine/random.ts";
import type { CascadeScope, SimNode } from "./scenario.ts";

/** A machine from its joining to its leaving; one that comes back is another. */
export type Member = { node: SimNode; serial: number };

export type Population = {
  join(node: SimNode): void;
  leave(id: string): void;
  find(id: string): Member | null;
  /** True as long as this very machine is there. */
  has(member: Member): boolean;
  size(): number;
  /** Any of them, each as likely. */
  pick(random: Random): Member | null;
  /** All that share the scope with this one, itself included. */
  around(node: SimNode, scope: CascadeScope): Iterable<Member> & { readonly size: number };
  inside(scope: "zone" | "region" | "provider", name: string): Iterable<Member>;
  all(): readonly Member[];
};

const SCOPES = ["rack", "zone", "region", "provider", "random"] as const;

function keyOf(node: SimNode, scope: CascadeScope): string {
  switch (scope) {
    case "rack":
      return `rack ${node.rack}`;
    case "zone":
      return `zone ${node.zone}`;
    case "region":
      return `region ${node.region}`;
    case "provider":
      return `provider ${node.provider}`;
    case "random":
      return "random";
    default:
      return unreachable(scope);
  }
}

export function openPopulation(): Population {
  const byId = new Map<string, Member>();
  const groups = new Map<string, Set<Member>>();
  const order: Member[] = [];
  const places = new Map<Member, number>();
  let serial = 0;
  const none = new Set<Member>();
  const leave = (id: string) => {
    const member = byId.get(id);
    if (member === undefined) return;
    byId.delete(id);
    for (const scope of SCOPES) groups.get(keyOf(member.node, scope))?.delete(member);
    // The last one takes the free place, so that a draw needs no search.
    const place = places.get(member) ?? 0;
    const last = order.pop();
    places.delete(member);
    if (last === undefined || last === member) return;
    order[place] = last;
    places.set(last, place);
  };
  return {
    leave,
    join(node) {
      leave(node.id);
      const member = { node, serial: serial++ };
      byId.set(node.id, member);
      places.set(member, order.length);
      order.push(member);
      for (const scope of SCOPES) {
        const key = keyOf(node, scope);
        const group = groups.get(key) ?? new Set();
        groups.set(key, group.add(member));
      }
    },
    find: (id) => byId.get(id) ?? null,
    has: (member) => byId.get(member.node.id) === member,
    size: () => order.length,
    pick: (random) => random.pick(order),
    around: (node, scope) => groups.get(keyOf(node, scope)) ?? none,
    inside: (scope, name) => groups.get(`${scope} ${name}`) ?? none,
    all: () => order,
  };
}
