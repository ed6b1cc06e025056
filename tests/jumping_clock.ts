/**
 * A clock that a test can move forward, so that code that waits 45 s is tested at once:
 *
 *     using clock = new JumpingClock();
 *     clock.jump(45_000);   // fires all timers that are due by then, as after the machine slept
 *
 * Between jumps it runs at normal speed, or stands still once frozen, so that a slow machine makes nothing late.
 */

type Timer = ReturnType<typeof setTimeout>;

interface Waiting {
  readonly callback: () => void;
  dueAtMs: number;
  /** Undefined for a timer that fires once. */
  readonly intervalMs: number | undefined;
  timer: Timer;
}

const POLL_MS = 2;
const JUMP_MS = 50;
const JUMPS_MAX = 2_000;

export class JumpingClock implements Disposable {
  readonly #real = {
    setTimeout: globalThis.setTimeout,
    clearTimeout: globalThis.clearTimeout,
    setInterval: globalThis.setInterval,
    clearInterval: globalThis.clearInterval,
    dateNow: Date.now,
    performanceNow: performance.now.bind(performance),
  };
  /** The timers by the id that the code under test received. */
  readonly #waiting = new Map<Timer, Waiting>();
  #aheadMs = 0;
  /** The real time at which the clock was frozen; undefined while it runs. */
  #frozenAtMs: number | undefined;

  constructor() {
    const { dateNow, performanceNow } = this.#real;
    const dateAheadMs = dateNow() - performanceNow();
    Date.now = () => Math.floor(performance.now() + dateAheadMs);
    performance.now = () => (this.#frozenAtMs ?? performanceNow()) + this.#aheadMs;
    Object.assign(globalThis, {
      setTimeout: (callback: (...args: unknown[]) => void, ms = 0, ...args: unknown[]) =>
        this.#start({ callback: () => callback(...args), ms, isRepeated: false }),
      setInterval: (callback: (...args: unknown[]) => void, ms = 0, ...args: unknown[]) =>
        this.#start({ callback: () => callback(...args), ms, isRepeated: true }),
      clearTimeout: (timer: Timer) => this.#stop(timer),
      clearInterval: (timer: Timer) => this.#stop(timer),
    });
  }

  /** Stops the clock; from now on time passes by jumps only. */
  freeze(): void {
    this.#frozenAtMs ??= this.#real.performanceNow();
    for (const { timer } of this.#waiting.values()) this.#real.clearTimeout(timer);
  }

  /** Moves the clock forward and fires, in order, the timers that are due by then; an interval fires once. */
  jump(ms: number): void {
    this.#aheadMs += ms;
    const nowMs = performance.now();
    const due = [...this.#waiting].filter(([, { dueAtMs }]) => dueAtMs <= nowMs)
      .sort(([, a], [, b]) => a.dueAtMs - b.dueAtMs);
    for (const [timer] of due) this.#fire(timer);
    for (const [timer, waiting] of this.#waiting) this.#schedule(timer, waiting);
  }

  /**
   * Polls until the condition holds, moving the clock forward slightly each time. The steps are so small that an
   * answer over a socket does not appear late.
   */
  async jumpUntil(what: string, condition: () => boolean): Promise<void> {
    for (let jump = 0; !condition(); jump++) {
      if (jump === JUMPS_MAX) throw new Error(`not after ${jump} jumps of ${JUMP_MS} ms: ${what}`);
      this.jump(JUMP_MS);
      await new Promise<void>((resolve) => this.#real.setTimeout(resolve, POLL_MS));
    }
  }

  [Symbol.dispose](): void {
    const { dateNow, setTimeout, clearTimeout, setInterval, clearInterval } = this.#real;
    Object.assign(globalThis, { setTimeout, clearTimeout, setInterval, clearInterval });
    Date.now = dateNow;
    Reflect.deleteProperty(performance, "now");
  }

  #start(
    { callback, ms, isRepeated }: { callback: () => void; ms: number; isRepeated: boolean },
  ): Timer {
    const dueAtMs = performance.now() + ms;
    // Like any other timer, the returned object can be unref'd and converted to a number.
    const timer = this.#real.setTimeout(() => this.#fire(timer), ms);
    if (this.#frozenAtMs !== undefined) this.#real.clearTimeout(timer);
    this.#waiting.set(timer, {
      callback,
      dueAtMs,
      intervalMs: isRepeated ? ms : undefined,
      timer,
    });
    return timer;
  }

  #stop(timer: Timer): void {
    const waiting = this.#waiting.get(timer);
    this.#waiting.delete(timer);
    this.#real.clearTimeout(waiting?.timer ?? timer);
  }

  #fire(timer: Timer): void {
    const waiting = this.#waiting.get(timer);
    if (waiting === undefined) return;
    this.#real.clearTimeout(waiting.timer);
    if (waiting.intervalMs === undefined) this.#waiting.delete(timer);
    else {
      waiting.dueAtMs = performance.now() + waiting.intervalMs;
      this.#schedule(timer, waiting);
    }
    waiting.callback();
  }

  #schedule(timer: Timer, waiting: Waiting): void {
    this.#real.clearTimeout(waiting.timer);
    if (this.#frozenAtMs !== undefined) return;
    const ms = Math.max(0, waiting.dueAtMs - performance.now());
    waiting.timer = this.#real.setTimeout(() => this.#fire(timer), ms);
  }
}
