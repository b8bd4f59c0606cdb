/** Which types a `kwok` provider sells: the catalogue's and those of its settings. Pure. */
import { nearest } from "../../../schema/nearest.ts";
import type { CreateRequest } from "../../core/provider.ts";
import { capacityOf, GPU_RESOURCE, PRESET_TYPES, type Resources } from "./catalog.ts";

/** GPUs of the types that the settings add. */
export type Types = ReadonlyMap<string, number>;

/** As the configuration has checked it: `NAME=GPUS`, joined by commas. */
export function typesOf(text: string): Types {
  return new Map(
    text.split(",").flatMap((pair) => {
      const [type = "", gpus = ""] = pair.split("=");
      return type === "" ? [] : [[type, Number(gpus)] as const];
    }),
  );
}

/** The rest of a machine whose GPUs alone are known. */
const MODEL = "dgxh100.80g";

/** Capacity of a type that is sold. */
export function resourcesOf(type: string, types: Types): Resources {
  const answer = capacityOf(PRESET_TYPES.includes(type) ? type : MODEL);
  const capacity = answer.kind === "ok" ? answer.capacity : {};
  const own = types.get(type);
  return own === undefined ? capacity : { ...capacity, [GPU_RESOURCE]: own };
}

/** Why a type cannot be bought; `null` = it can. */
export function whyNotSold(
  { instanceType }: Pick<CreateRequest, "instanceType">,
  types: Types,
): string | null {
  const sold = [...PRESET_TYPES, ...types.keys()];
  if (sold.includes(instanceType)) return null;
  const close = nearest(instanceType, sold);
  const hint = close === null ? `known: ${sold.join(", ")}` : `did you mean ${close}?`;
  const why = `instance type ${instanceType} is not in the catalogue (${hint})`;
  return `${why}: set types of the provider`;
}
