import type { Webhook } from '../../api/types.ts';
import { type Key, type Speech, useSpeech } from '../../i18n/language.ts';
import { Badge, type Tone } from '../../ui/layout.tsx';

function stateOf({ enabled, disabled_reason, failures }: Webhook): readonly [Key, Tone] {
  if (!enabled) return [`hooks.state.${disabled_reason ?? 'paused'}`, disabled_reason === 'paused' ? 'plain' : 'bad'];
  return failures > 0 ? ['hooks.state.retrying', 'warn'] : ['hooks.state.delivering', 'good'];
}

export function WebhookState({ webhook }: { readonly webhook: Webhook }) {
  const { plain } = useSpeech();
  const [words, tone] = stateOf(webhook);
  return <Badge tone={tone}>{plain(words)}</Badge>;
}

/** The lag of a webhook, and when a failed batch is retried. */
export function lagWords({ lag_seconds, failures, next_attempt_at }: Webhook, speech: Speech): string {
  const { text, duration, ago } = speech;
  const lag = lag_seconds < 1 ? text('hooks.upToDate') : text('hooks.behind', { time: duration(lag_seconds) });
  const failed = failures > 0 ? ` · ${text('hooks.failures', { count: failures })}` : '';
  const next = next_attempt_at ? ` · ${text('hooks.next', { time: ago(next_attempt_at) })}` : '';
  return `${lag}${failed}${next}`;
}
