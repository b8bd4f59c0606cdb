/** What must hold of a day, by what the clouds really have. Pure. */
import type { Fleet } from "../../reconciler/core/fleet.ts";
import type { Clouds } from "./clouds.ts";
import type { PoolName, Sample } from "./day.ts";
import { DAY_HOURS, WEATHER } from "./demand.ts";

/** What an offer's longest rest and a boot take after the weather. */
const GRACE_MINUTES = 30;
/** A purchase for each machine in turn, and a boot: beyond it the pool is stuck. */
const SHORT_MINUTES_MAX = 30;

/** Machines that belong to no node, and requests that became two machines. */
export function orphansIn(fleet: Fleet, clouds: Pick<Clouds, "lambda" | "gcp">): string[] {
  const claimed = new Set([...fleet.nodes.values()].map(({ instance }) => instance?.id));
  return (["lambda", "gcp"] as const).flatMap((name) => {
    const cloud = clouds[name];
    const orphans = cloud.live().filter(({ id }) => !claimed.has(id));
    const doubles = cloud.doubles();
    return [
      ...orphans.map(({ id }) => `${name}: ${id} belongs to no node`),
      ...(doubles === 0 ? [] : [`${name}: ${doubles} bought twice`]),
    ];
  });
}

/** Beyond two percent: the samples of what is real are five seconds apart. */
export function differenceOf(
  what: string,
  { counted, real }: { counted: number; real: number },
): string | null {
  if (Math.abs(counted - real) <= 0.02 * real + 1) return null;
  return `${what}: ${counted.toFixed(2)} counted, ${real.toFixed(2)} real`;
}

/**
 * The longest time in minutes with less than was wanted while the cloud could have sold it: outside
 * bad weather and the grace after it.
 */
export function longestShort(
  samples: readonly Sample[],
  pool: PoolName,
  hours: number,
): { minutes: number; wrong: string | null } {
  const cloud = pool === "training" ? "lambda" : "gcp";
  const graceHours = (GRACE_MINUTES / 60 / hours) * DAY_HOURS;
  let [run, most, last] = [0, 0, 0];
  for (const { hour, pools } of samples) {
    const isFoul = WEATHER.some(
      (one) => one.cloud === cloud && hour >= one.from && hour < one.to + graceHours,
    );
    run = !isFoul && pools[pool].serving < pools[pool].desired ? run + 1 : 0;
    if (run > most) [most, last] = [run, hour];
  }
  const wrong = `${pool}: short for ${most} minutes until hour ${last.toFixed(2)}`;
  return { minutes: most, wrong: most > SHORT_MINUTES_MAX ? wrong : null };
}
