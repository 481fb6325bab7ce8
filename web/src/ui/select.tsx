import type { ReactNode } from 'react';
import {
  Select as AriaSelect,
  Button,
  ComboBox,
  FieldError,
  Input,
  Label,
  ListBox,
  ListBoxItem,
  Popover,
  SelectValue,
  Text,
} from 'react-aria-components';
import { classes } from './classes.ts';
import styles from './field.module.css';
import type { FieldProps } from './field.tsx';
import { Icon } from './icons.tsx';

export interface Choice<Id extends string = string> {
  readonly id: Id;
  readonly text: string;
  readonly hint?: string | undefined;
}

function Option({ choice }: { readonly choice: Choice }) {
  return (
    <ListBoxItem id={choice.id} textValue={choice.text} className={styles.option}>
      <span>{choice.text}</span>
      {choice.hint !== undefined && <span className={styles.optionHint}>{choice.hint}</span>}
    </ListBoxItem>
  );
}

interface SelectProps<Id extends string> extends FieldProps {
  readonly value: Id;
  readonly onChange: (id: Id) => void;
  readonly items: readonly Choice<Id>[];
}

export function Select<Id extends string>({
  label,
  isLabelHidden,
  hint,
  value,
  onChange,
  items,
  isDisabled,
}: SelectProps<Id>) {
  return (
    <AriaSelect
      className={styles.field}
      value={value}
      onChange={(key) => {
        const item = items.find(({ id }) => id === key);
        if (item) onChange(item.id);
      }}
      isDisabled={isDisabled}
      aria-label={isLabelHidden ? label : undefined}
    >
      {!isLabelHidden && <Label className={styles.label}>{label}</Label>}
      <Button className={styles.select}>
        <SelectValue className={styles.value} />
        <Icon name="down" />
      </Button>
      {hint && (
        <Text slot="description" className={styles.hint}>
          {hint}
        </Text>
      )}
      <Popover className={styles.popover}>
        <ListBox items={items}>{(choice: Choice<Id>) => <Option choice={choice} />}</ListBox>
      </Popover>
    </AriaSelect>
  );
}

interface ComboProps extends FieldProps {
  readonly value: string;
  readonly onChange: (value: string) => void;
  readonly items: readonly Choice[];
  readonly placeholder?: string;
  readonly isMono?: boolean;
  readonly onSubmit?: () => void;
  readonly onPick?: (id: string) => void;
  readonly footer?: ReactNode;
}

/** A text field with suggestions; other text may be typed too. */
export function Combo(props: ComboProps) {
  const { label, isLabelHidden, hint, error, value, onChange, items, placeholder, isMono, onPick, isDisabled } = props;
  return (
    <ComboBox
      className={styles.field}
      allowsCustomValue
      inputValue={value}
      onInputChange={onChange}
      items={items}
      menuTrigger="focus"
      isInvalid={error !== undefined}
      validationBehavior="aria"
      onSelectionChange={(key) => {
        if (key !== null) onPick?.(String(key));
      }}
      isDisabled={isDisabled}
      aria-label={isLabelHidden ? label : undefined}
    >
      {!isLabelHidden && <Label className={styles.label}>{label}</Label>}
      <div className={styles.combo}>
        <Input className={classes(styles.input, isMono && styles.mono)} placeholder={placeholder} spellCheck={false} />
        <Button className={styles.open}>
          <Icon name="down" />
        </Button>
      </div>
      {hint && (
        <Text slot="description" className={styles.hint}>
          {hint}
        </Text>
      )}
      <FieldError className={styles.error}>{error}</FieldError>
      <Popover className={styles.popover}>
        <ListBox>{(choice: Choice) => <Option choice={choice} />}</ListBox>
      </Popover>
    </ComboBox>
  );
}
