/**
 * A clock that a test can put forward, so that code that waits 45 s is tested at once:
 *
 *     using clock = new JumpingClock();
 *     clock.jump(45_000);   // all timers that are due by then fire, as after a machine's sleep
 *
 * Between jumps it runs at the usual speed, or stands still once it is frozen: a slow machine makes nothing late.
 *
 * @module
 */

type Timer = ReturnType<typeof setTimeout>;

interface Waiting {
  readonly callback: () => void;
  dueAtMs: number;
  /** Undefined for one that fires once. */
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
  /** By the timer that the code was given. */
  readonly #waiting = new Map<Timer, Waiting>();
  #aheadMs = 0;
  /** When it was frozen, in real time; undefined while it runs. */
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

  /** From now on time passes by jumps alone. */
  freeze(): void {
    this.#frozenAtMs ??= this.#real.performanceNow();
    for (const { timer } of this.#waiting.values()) this.#real.clearTimeout(timer);
  }

  /** Puts the clock forward and fires, in order, what is due by then; an interval fires once. */
  jump(ms: number): void {
    this.#aheadMs += ms;
    const nowMs = performance.now();
    const due = [...this.#waiting].filter(([, { dueAtMs }]) => dueAtMs <= nowMs)
      .sort(([, a], [, b]) => a.dueAtMs - b.dueAtMs);
    for (const [timer] of due) this.#fire(timer);
    for (const [timer, waiting] of this.#waiting) this.#schedule(timer, waiting);
  }

  /**
   * Polls until the condition holds, and puts the clock forward by a little each time: by so little that an
   * answer over a socket does not come late.
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
    // The object that is returned can be unref'd and turned into a number, as any other.
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
