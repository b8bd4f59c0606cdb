/**
 * What we bind of NVML against NVIDIA's own Python binding. The stand-in library is written by us
 * and repeats our mistakes; this is the witness that does not.
 */
import { describe, expect, test } from "bun:test";
import { FUNCTION_NOT_FOUND, SIGNATURE } from "../../agent/nvml/bind.ts";
import { WANTED } from "../../agent/nvml/event.ts";
import { FIELD, parseFields } from "../../agent/nvml/field.ts";
import { FIELD_VALUE, LAYOUTS } from "../../agent/nvml/layout.ts";
import * as code from "../../agent/nvml/return-code.ts";
import { REASON } from "../../agent/probe/clock.ts";
import { FLAGS, MISFITS, MISFIT_SHIFT, STATES, SUMMARY } from "../../agent/probe/fabric.ts";
import { LINK_STATE } from "../../agent/probe/nvlink.ts";
import { VERDICTS } from "../../agent/probe/recovery.ts";
import { pynvmlOrSkip } from "../fixture/nvml/pynvml.ts";

const witness = pynvmlOrSkip();

/** A constant of the binding; a name that it lacks is a mistake of ours. */
function constant(name: string): number {
  const value = witness?.constants[name];
  if (value === undefined) throw new Error(`pynvml has no ${name}`);
  return value;
}

/** Names that the binding has no use for: it starts with flags, which this is without. */
const UNUSED = ["nvmlInit_v2"];

describe.skipIf(witness === null)("SIGNATURE against pynvml", () => {
  const names = Object.entries(SIGNATURE).filter(([name]) => !UNUSED.includes(name));

  test.each(names)("%s(%s) has that name and those arguments", (name, letters) => {
    const calls = witness?.functions[name] ?? [];
    expect(calls).not.toEqual([]);
    // Enums are `i` here and unsigned there: both are four bytes wide.
    const width = (letter: string) => (letter === "i" ? "u" : letter);
    for (const call of calls) {
      expect(call).toHaveLength(letters.length);
      const known = call.map((kind, at) => (kind === null ? letters[at] : kind));
      expect(known.map((one) => width(one ?? ""))).toEqual([...letters].map(width));
    }
  });
});

describe.skipIf(witness === null)("LAYOUTS against pynvml", () => {
  test.each(LAYOUTS.map((layout) => [layout.name, layout] as const))(
    "%s has that size, version and those places",
    (name, layout) => {
      const theirs = witness?.structs[name];
      expect(theirs?.bytes).toBe(layout.bytes);
      for (const [field, { at, bytes }] of Object.entries(layout.fields)) {
        const place = theirs?.fields[field];
        expect([field, place?.at]).toEqual([field, at]);
        // What is read must lie inside the field; a byte of a padded number is enough.
        expect(bytes).toBeLessThanOrEqual(place?.bytes ?? 0);
        if (field !== "state") expect([field, place?.bytes]).toEqual([field, bytes]);
      }
      const versioned = theirs?.fields["version"] !== undefined;
      expect(layout.word !== 0).toBe(versioned);
      if (!versioned) return;
      const word = constant(name.replace(/^c_/, "").replace(/_t$/, ""));
      expect(layout.word).toBe(word);
      expect(layout.word & 0xffffff).toBe(layout.bytes);
    },
  );
});

const pairs = (given: readonly (readonly [number, string])[]) =>
  given.map(([value, name]) => [name, value] as const);

describe.skipIf(witness === null)("constants against pynvml", () => {
  test.each(
    pairs([
      [FIELD.eccSbeVolatile, "ECC_SBE_VOL_TOTAL"],
      [FIELD.eccDbeVolatile, "ECC_DBE_VOL_TOTAL"],
      [FIELD.eccSbeAggregate, "ECC_SBE_AGG_TOTAL"],
      [FIELD.eccDbeAggregate, "ECC_DBE_AGG_TOTAL"],
      [FIELD.retiredSbe, "RETIRED_SBE"],
      [FIELD.retiredDbe, "RETIRED_DBE"],
      [FIELD.retiredPending, "RETIRED_PENDING"],
      [FIELD.memoryTemperature, "MEMORY_TEMP"],
      [FIELD.linkCount, "NVLINK_LINK_COUNT"],
      [FIELD.pcieReplay, "PCIE_REPLAY_COUNTER"],
      [FIELD.linkReplay, "NVLINK_ERROR_DL_REPLAY"],
      [FIELD.linkRecovery, "NVLINK_ERROR_DL_RECOVERY"],
      [FIELD.linkCrc, "NVLINK_ERROR_DL_CRC"],
      [FIELD.linkState, "NVLINK_GET_STATE"],
      [FIELD.shutdownLimit, "TEMPERATURE_SHUTDOWN_TLIMIT"],
      [FIELD.slowdownLimit, "TEMPERATURE_SLOWDOWN_TLIMIT"],
      [FIELD.recoveryAction, "GET_GPU_RECOVERY_ACTION"],
    ]),
  )("NVML_FI_DEV_%s is field %p", (name, id) => {
    expect(constant(`NVML_FI_DEV_${name}`)).toBe(id);
  });

  test("every field that is read is compared above", () => {
    expect(Object.keys(FIELD)).toHaveLength(17);
  });

  test.each(
    pairs([
      [code.SUCCESS, "NVML_SUCCESS"],
      [code.UNINITIALIZED, "NVML_ERROR_UNINITIALIZED"],
      [code.INVALID_ARGUMENT, "NVML_ERROR_INVALID_ARGUMENT"],
      [code.NOT_SUPPORTED, "NVML_ERROR_NOT_SUPPORTED"],
      [code.NO_PERMISSION, "NVML_ERROR_NO_PERMISSION"],
      [code.INSUFFICIENT_SIZE, "NVML_ERROR_INSUFFICIENT_SIZE"],
      [code.OPERATING_SYSTEM, "NVML_ERROR_OPERATING_SYSTEM"],
      [code.VERSION_MISMATCH, "NVML_ERROR_LIB_RM_VERSION_MISMATCH"],
      [code.VERSION_UNKNOWN, "NVML_ERROR_ARGUMENT_VERSION_MISMATCH"],
      [code.GPU_IS_LOST, "NVML_ERROR_GPU_IS_LOST"],
      [code.RESET_REQUIRED, "NVML_ERROR_RESET_REQUIRED"],
      [code.UNKNOWN, "NVML_ERROR_UNKNOWN"],
      [FUNCTION_NOT_FOUND, "NVML_ERROR_FUNCTION_NOT_FOUND"],
    ]),
  )("%s is %p", (name, value) => {
    expect(constant(name)).toBe(value);
  });

  test("codes that speak about the GPU are those, and only those", () => {
    const all = Object.entries(witness?.constants ?? {}).filter(([name]) =>
      /^NVML_ERROR_/.test(name),
    );
    const ours = all.filter(([, value]) => code.isGpuCode(value)).map(([name]) => name.slice(11));
    expect(ours.sort()).toEqual([
      "CORRUPTED_INFOROM",
      "GPU_IS_LOST",
      "INSUFFICIENT_POWER",
      "IRQ_ISSUE",
      "RESET_REQUIRED",
      "TIMEOUT",
      "UNKNOWN",
    ]);
  });

  test("events wanted are those that say what happened to the hardware", () => {
    const names = [
      "DoubleBitEccError",
      "XidCriticalError",
      "DramRetirementEvent",
      "DramRetirementFailure",
      "NonFatalPoisonError",
      "FatalPoisonError",
      "GpuUnavailableError",
      "GpuRecoveryAction",
    ];
    const bits = names.map((name) => BigInt(constant(`nvmlEventType${name}`)));
    expect(WANTED).toBe(bits.reduce((all, bit) => all | bit, 0n));
  });

  test.each([
    ["DOUBLE", 1.5],
    ["UNSIGNED_INT", 4_000_000_000],
    ["UNSIGNED_LONG", 2 ** 40],
    ["UNSIGNED_LONG_LONG", 2 ** 50],
    ["SIGNED_LONG_LONG", -(2 ** 40)],
    ["SIGNED_INT", -7],
    ["UNSIGNED_SHORT", 65_535],
  ])("a field value of type %s is decoded as what it is", (type, value) => {
    const bytes = new Uint8Array(FIELD_VALUE.bytes);
    const view = new DataView(bytes.buffer);
    const { valueType, value: place } = FIELD_VALUE.fields;
    view.setUint32(valueType.at, constant(`NVML_VALUE_TYPE_${type}`), true);
    if (type === "DOUBLE") view.setFloat64(place.at, value, true);
    else view.setBigInt64(place.at, BigInt(value), true);
    expect(parseFields(bytes)).toEqual([{ code: 0, value }]);
  });

  test.each(Object.entries(REASON))("clock event reason %s is %p", (name, bit) => {
    expect(constant(`nvmlClocksEventReason${name}`)).toBe(bit);
  });

  test("no type of a field value is missing", () => {
    expect(constant("NVML_VALUE_TYPE_COUNT")).toBe(7);
  });
});

describe.skipIf(witness === null)("meanings against pynvml", () => {
  const all = (prefix: string) =>
    Object.fromEntries(
      Object.entries(witness?.constants ?? {})
        .filter(([name]) => name.startsWith(prefix))
        .map(([name, value]) => [name.slice(prefix.length), value]),
    );

  test("every recovery action has a meaning here", () => {
    const { NONE, ...actions } = all("NVML_GPU_RECOVERY_ACTION_");
    expect(NONE).toBe(0);
    expect(Object.keys(VERDICTS).map(Number).sort()).toEqual(Object.values(actions).sort());
  });

  test("every state of a link has a name here", () => {
    expect(all("NVML_NVLINK_STATE_")).toEqual(LINK_STATE);
  });

  test("every state of the fabric has a name here", () => {
    const states = all("NVML_GPU_FABRIC_STATE_");
    const said = STATES.map((words, at) => [words.toUpperCase().replaceAll(" ", "_"), at] as const);
    expect(states).toEqual(Object.fromEntries(said));
    expect(all("NVML_GPU_FABRIC_HEALTH_SUMMARY_")).toEqual(SUMMARY);
  });

  test("every flag of the health mask is read where it is", () => {
    const shifts = all("NVML_GPU_FABRIC_HEALTH_MASK_SHIFT_");
    const { INCORRECT_CONFIGURATION, PARTITION_ASSIGNED, ...flags } = shifts;
    expect(INCORRECT_CONFIGURATION).toBe(MISFIT_SHIFT);
    // Set where a partition is assigned; that it is not is a value of the configuration.
    expect(PARTITION_ASSIGNED).toBe(12);
    expect(Object.fromEntries(FLAGS.map(({ name, shift }) => [name, shift]))).toEqual(flags);
    for (const { name, bad } of FLAGS) {
      const wrong = name === "GFM_STATE" ? "DISCONNECTED" : "TRUE";
      expect(constant(`NVML_GPU_FABRIC_HEALTH_MASK_${name}_${wrong}`)).toBe(bad);
    }
    const configuration = all("NVML_GPU_FABRIC_HEALTH_MASK_INCORRECT_CONFIGURATION_");
    const values = new Set(Object.values(configuration).filter((value) => value > 1));
    expect([...values].sort()).toEqual(Object.keys(MISFITS).map(Number).sort());
    expect(configuration["NONE"]).toBe(1);
  });
});
