/** Converts one pool to a file's keys: canonical ones in the list format, upstream's in the map. */
import type { Autoscaler, PoolConfig, ProviderConfig, ProviderRef } from "../../schema/config.ts";
import { AUTOSCALER, type ScheduleWindow, WINDOW } from "../../schema/config/autoscaler.ts";
import { BODY, BOOTSTRAP, REF, SCALING } from "../../schema/config/pool.ts";
import { MACHINE } from "../../schema/config/provider.ts";
import { concreteType } from "../core/instance-type.ts";
import { POOL_LABELS } from "./label.ts";
import type { Dialect } from "./layer.ts";
import { DAYS } from "./schedule.ts";
import { type Plain, formatSection } from "./table.ts";

/** All keys except the name; a key that does not apply is `null`. */
export function convertPool(
  pool: PoolConfig,
  types: ReadonlyMap<string, ProviderConfig["type"]>,
  dialect: Dialect,
): Plain {
  const { bootstrap, scaling } = pool;
  const own = Object.entries(pool.labels).filter(([key]) => !POOL_LABELS.some((l) => l === key));
  const autoscaler = scaling.autoscaler && formatAutoscaler(scaling.autoscaler, dialect);
  const refs = formatRefs(pool, types, dialect);
  // The entries of `providers` have their own.
  const machine = "provider" in refs ? pool.providers[0]?.settings : undefined;
  const body = {
    ...pool,
    adopt: pool.adopt ? true : null,
    instanceType: pool.instanceType === "" ? null : pool.instanceType,
    labels: Object.fromEntries(own),
    strategy: "provider" in refs && pool.strategy === "priority" ? null : pool.strategy,
  };
  return {
    ...formatSection(BODY, body, dialect, {
      ...refs,
      scaling: formatSection(SCALING, scaling, dialect, { autoscaler }),
      // The default ladder also reboots for fabric faults; written out it would not.
      repair: pool.repair.implied === true ? null : { ladder: pool.repair.ladder },
      setup_commands: bootstrap.setupCommands.length > 0 ? bootstrap.setupCommands : null,
    }),
    ...formatSection(MACHINE, machine ?? {}, dialect),
    ...formatSection(BOOTSTRAP, bootstrap, dialect),
  };
}

/** Uses the short form (`provider`) where it means the same. */
function formatRefs(
  pool: PoolConfig,
  types: ReadonlyMap<string, ProviderConfig["type"]>,
  dialect: Dialect,
): Plain {
  const [only, second] = pool.providers;
  if (only !== undefined && second === undefined && isShort(pool, only, types)) {
    return { provider: only.name };
  }
  const providers = pool.providers.map((ref) => {
    const types = ref.instanceTypes.length === 0 ? null : [ref.instanceType, ...ref.instanceTypes];
    const instanceType = types === null ? ref.instanceType : null;
    const own = formatSection(REF, { ...ref, instanceType, instanceTypes: types }, dialect);
    return { ...own, ...formatSection(MACHINE, ref.settings ?? {}, dialect) };
  });
  return { providers };
}

function isShort(
  pool: PoolConfig,
  ref: ProviderRef,
  types: ReadonlyMap<string, ProviderConfig["type"]>,
): boolean {
  const type = types.get(ref.name);
  const regions = pool.region === null ? [] : [pool.region];
  return (
    type !== undefined &&
    ref.priority === 1 &&
    ref.weight === 1 &&
    ref.instanceTypes.length === 0 &&
    ref.market === pool.market &&
    ref.reservation === pool.reservation &&
    ref.maxPrice === pool.maxPrice &&
    ref.instanceType === concreteType(pool.instanceType, type) &&
    JSON.stringify([ref.regions, ref.zones]) === JSON.stringify([regions, pool.zones])
  );
}

function formatMinute(minute: number): string {
  const two = (n: number) => String(n).padStart(2, "0");
  return `${two(Math.floor(minute / 60))}:${two(minute % 60)}`;
}

function formatHours({ days, startMinute, endMinute }: ScheduleWindow): Plain {
  return {
    days: days.map((day) => DAYS[day]?.slice(0, 3) ?? ""),
    start_hour: formatMinute(startMinute),
    end_hour: formatMinute(endMinute),
  };
}

function formatAutoscaler(autoscaler: Autoscaler, dialect: Dialect): Plain {
  const inner = (one: Autoscaler | null) => one && formatAutoscaler(one, dialect);
  const { type } = autoscaler;
  const owns: Plain = {};
  if ("fallback" in autoscaler) owns["fallback"] = inner(autoscaler.fallback);
  if (type === "composite") owns["autoscalers"] = autoscaler.autoscalers.map(inner);
  if (type === "scheduled") {
    owns["schedule"] = autoscaler.schedule.map((window) =>
      formatSection(WINDOW, window, dialect, window.cron === null ? formatHours(window) : {}),
    );
  }
  return { type, ...formatSection(AUTOSCALER[type], autoscaler, dialect, owns) };
}
