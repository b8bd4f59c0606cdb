/**
 * How far a failure spreads: upstream's largest files are super-critical, so without these bounds
 * one failure would become millions.
 */
import type { Random } from "../engine/random.ts";
import type { Member, Population } from "./population.ts";
import type { Cascading } from "./scenario.ts";

export type Cascade = {
  /** Members that joined or are about to. */
  members: Set<Member>;
  /** Machines that may still join. */
  left: number;
};

export type Cascades = {
  /** A cascade that starts at this machine; `null` without cascading. */
  open(member: Member): Cascade | null;
  /** Draws whom this machine takes along, `depth` steps from the start. They have joined then. */
  spread(cascade: Cascade, member: Member, depth: number): { member: Member; delayMs: number }[];
};

export function openCascades(
  cascading: Cascading | null,
  population: Population,
  random: Random,
): Cascades {
  return {
    open(member) {
      if (cascading === null) return null;
      const { size } = population.around(member.node, cascading.scope);
      // A product such as 0.3 × 10 falls short of its whole number by rounding.
      const left = Math.floor(size * cascading.maxAffected + 1e-9);
      return { members: new Set([member]), left };
    },
    spread(cascade, member, depth) {
      if (cascading === null) return [];
      if (depth >= cascading.maxDepth || cascade.left <= 0) return [];
      if (!random.chance(cascading.probability)) return [];
      const around = [...population.around(member.node, cascading.scope)];
      const open = around.filter((one) => !cascade.members.has(one));
      const most = Math.max(1, Math.floor(open.length * cascading.maxAffected));
      const wanted = Math.min(1 + random.int(most), cascade.left);
      const taken = random.sample(open, wanted);
      cascade.left -= taken.length;
      for (const one of taken) cascade.members.add(one);
      const { minDelayMs, maxDelayMs } = cascading;
      return taken.map((one) => {
        return { member: one, delayMs: Math.round(random.between(minDelayMs, maxDelayMs)) };
      });
    },
  };
}
