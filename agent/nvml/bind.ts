/**
 * Binds the vendor library symbol by symbol: one missing symbol rejects a whole table
 * (docs/reference/nvml.md#loading), and an older driver loses only what it lacks. Handles are
 * BigInt: a JS number is exact only up to 2^53.
 * Adapter: native library.
 */
import { type FFIFunction, dlopen } from "bun:ffi";

type Argument = number | bigint | NodeJS.TypedArray | null;
type Native = (...args: Argument[]) => number;

/** `d` device or event set by value (u64), `p` pointer, `u` u32, `i` i32, `q` u64. */
export const SIGNATURE = {
  nvmlInit_v2: "",
  nvmlInitWithFlags: "u",
  nvmlShutdown: "",
  nvmlSystemGetDriverVersion: "pu",
  nvmlSystemGetNVMLVersion: "pu",
  nvmlSystemGetCudaDriverVersion_v2: "p",
  nvmlGetExcludedDeviceCount: "p",
  nvmlGetExcludedDeviceInfoByIndex: "up",
  nvmlDeviceGetCount_v2: "p",
  nvmlDeviceGetHandleByIndex_v2: "up",
  nvmlDeviceGetUUID: "dpu",
  nvmlDeviceGetName: "dpu",
  nvmlDeviceGetSerial: "dpu",
  nvmlDeviceGetPciInfo_v3: "dp",
  nvmlDeviceGetArchitecture: "dp",
  nvmlDeviceGetMemoryInfo_v2: "dp",
  nvmlDeviceGetMemoryInfo: "dp",
  nvmlDeviceGetUtilizationRates: "dp",
  nvmlDeviceGetComputeRunningProcesses_v3: "dpp",
  nvmlDeviceGetTemperatureV: "dp",
  nvmlDeviceGetTemperature: "dip",
  nvmlDeviceGetTemperatureThreshold: "dip",
  nvmlDeviceGetMarginTemperature: "dp",
  nvmlDeviceGetPowerUsage: "dp",
  nvmlDeviceGetEnforcedPowerLimit: "dp",
  nvmlDeviceGetClockInfo: "dip",
  nvmlDeviceGetCurrentClocksEventReasons: "dp",
  nvmlDeviceGetCurrentClocksThrottleReasons: "dp",
  nvmlDeviceGetEccMode: "dpp",
  nvmlDeviceGetTotalEccErrors: "diip",
  nvmlDeviceGetSramEccErrorStatus: "dp",
  nvmlDeviceGetRemappedRows: "dpppp",
  nvmlDeviceGetRowRemapperHistogram: "dp",
  nvmlDeviceGetRetiredPagesPendingStatus: "dp",
  nvmlDeviceGetNvLinkState: "dup",
  nvmlDeviceGetNvLinkErrorCounter: "duip",
  nvmlDeviceGetGpuFabricInfoV: "dp",
  nvmlDeviceGetGpuFabricInfo: "dp",
  nvmlDeviceGetPcieReplayCounter: "dp",
  nvmlDeviceGetCurrPcieLinkGeneration: "dp",
  nvmlDeviceGetCurrPcieLinkWidth: "dp",
  nvmlDeviceGetMaxPcieLinkGeneration: "dp",
  nvmlDeviceGetMaxPcieLinkWidth: "dp",
  nvmlDeviceGetMigMode: "dpp",
  nvmlDeviceGetPersistenceMode: "dp",
  nvmlDeviceGetFieldValues: "dip",
  nvmlEventSetCreate: "p",
  nvmlEventSetFree: "d",
  nvmlDeviceGetSupportedEventTypes: "dp",
  nvmlDeviceRegisterEvents: "dqd",
  nvmlEventSetWait_v2: "dpu",
} as const;
export type Symbol = keyof typeof SIGNATURE;

/** The required functions (docs/reference/nvml.md#functions). */
export const MANDATORY: readonly Symbol[] = [
  "nvmlInit_v2",
  "nvmlSystemGetDriverVersion",
  "nvmlDeviceGetCount_v2",
  "nvmlDeviceGetHandleByIndex_v2",
  "nvmlDeviceGetUUID",
  "nvmlDeviceGetPciInfo_v3",
  "nvmlDeviceGetFieldValues",
];

const TYPE = { d: "u64", p: "ptr", u: "u32", i: "i32", q: "u64" } as const;

/** `FUNCTION_NOT_FOUND`: how a missing symbol is reported. */
export const FUNCTION_NOT_FOUND = 13;

export type Bound = {
  path: string;
  /** `nvmlReturn_t`; 13 if this library lacks the symbol. May block its thread without limit. */
  call(name: Symbol, ...args: Argument[]): number;
  has(name: Symbol): boolean;
  /** Names that this library lacks, mandatory ones included. */
  missing: Symbol[];
};

function signatureOf(letters: string): FFIFunction {
  const args = [...letters].map((letter) => {
    if (letter in TYPE) return TYPE[letter as keyof typeof TYPE];
    throw new Error(`unknown letter ${letter} in a signature`);
  });
  return { args, returns: "i32" };
}

/** Throws the loader's error if the library cannot be loaded. */
export function bindLibrary(path: string): Bound {
  const natives = new Map<string, Native>();
  const missing: Symbol[] = [];
  for (const name of Object.keys(SIGNATURE) as Symbol[]) {
    try {
      const { symbols } = dlopen(path, { [name]: signatureOf(SIGNATURE[name]) });
      natives.set(name, symbols[name] as unknown as Native);
    } catch (error) {
      if (codeOf(error) === "ERR_DLOPEN_FAILED" || !isMissing(error)) throw error;
      missing.push(name);
    }
  }
  return {
    path,
    call: (name, ...args) => natives.get(name)?.(...args) ?? FUNCTION_NOT_FOUND,
    has: (name) => natives.has(name),
    missing,
  };
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : null;
}

/**
 * Tests the message, `Symbol "x" not found in "path"`: the code, ERR_INVALID_ARG_TYPE, is also
 * that of an unavailable JIT.
 */
function isMissing(error: unknown): boolean {
  return error instanceof Error && /symbol .* not found/i.test(error.message.slice(0, 256));
}
