import type { ReactNode } from 'react';
import {
  Checkbox as AriaCheckbox,
  SearchField as AriaSearchField,
  TextField as AriaTextField,
  FieldError,
  Input,
  Label,
  Radio,
  RadioGroup,
  Text,
  TextArea,
} from 'react-aria-components';
import { classes } from './classes.ts';
import styles from './field.module.css';
import { Icon } from './icons.tsx';

export interface FieldProps {
  readonly label: string;
  readonly isLabelHidden?: boolean;
  readonly hint?: ReactNode;
  readonly error?: string | undefined;
  readonly isDisabled?: boolean;
  readonly isRequired?: boolean;
}

interface TextFieldProps extends FieldProps {
  readonly value: string;
  readonly onChange: (value: string) => void;
  readonly type?: 'text' | 'password' | 'search' | 'datetime-local' | 'url';
  readonly inputMode?: 'decimal' | 'numeric' | 'text';
  readonly placeholder?: string | undefined;
  readonly autoComplete?: string;
  readonly autoFocus?: boolean;
  readonly isMono?: boolean;
  /** The number of rows, for text that may be long. */
  readonly rows?: number;
  readonly name?: string;
  readonly maxLength?: number;
  readonly onBlur?: () => void;
}

export function TextField(props: TextFieldProps) {
  const { label, isLabelHidden, hint, error, isDisabled, isRequired, value, onChange, rows, name, ...rest } = props;
  const { isMono, autoFocus, placeholder, inputMode, ...field } = rest;
  const control = classes(rows === undefined ? styles.input : styles.area, isMono && styles.mono);
  const shared = { className: control, placeholder };
  return (
    <AriaTextField
      {...field}
      className={styles.field}
      value={value}
      onChange={onChange}
      isInvalid={error !== undefined}
      name={name}
      autoFocus={autoFocus}
      isDisabled={isDisabled}
      isRequired={isRequired}
      aria-label={isLabelHidden ? label : undefined}
      validationBehavior="aria"
    >
      {!isLabelHidden && <Label className={styles.label}>{label}</Label>}
      {rows === undefined ? (
        <Input {...shared} inputMode={inputMode} spellCheck={isMono ? false : undefined} />
      ) : (
        <TextArea {...shared} rows={rows} spellCheck={isMono ? false : undefined} />
      )}
      {hint && (
        <Text slot="description" className={styles.hint}>
          {hint}
        </Text>
      )}
      <FieldError className={styles.error}>{error}</FieldError>
    </AriaTextField>
  );
}

export function SearchField(props: {
  readonly label: string;
  readonly value: string;
  readonly onChange: (value: string) => void;
}) {
  return (
    <AriaSearchField aria-label={props.label} value={props.value} onChange={props.onChange} className={styles.field}>
      <div className={styles.search}>
        <span className={styles.searchIcon}>
          <Icon name="search" />
        </span>
        <Input className={styles.input} placeholder={props.label} />
      </div>
    </AriaSearchField>
  );
}

export function Checkbox(props: {
  readonly children: ReactNode;
  readonly isSelected: boolean;
  readonly onChange: (isSelected: boolean) => void;
}) {
  return (
    <AriaCheckbox className={styles.check} isSelected={props.isSelected} onChange={props.onChange}>
      <span className={styles.box}>{props.isSelected && <Icon name="check" size={14} />}</span>
      <span>{props.children}</span>
    </AriaCheckbox>
  );
}

/** A few options side by side, one of which is selected. */
export function Choices<Id extends string>(props: {
  readonly label: string;
  readonly isLabelHidden?: boolean;
  readonly isSmall?: boolean;
  readonly value: Id;
  readonly onChange: (id: Id) => void;
  readonly items: readonly { readonly id: Id; readonly text: string }[];
}) {
  return (
    <RadioGroup
      className={styles.field}
      value={props.value}
      onChange={(value) => {
        const item = props.items.find(({ id }) => id === value);
        if (item) props.onChange(item.id);
      }}
      orientation="horizontal"
      aria-label={props.isLabelHidden ? props.label : undefined}
    >
      {!props.isLabelHidden && <Label className={styles.label}>{props.label}</Label>}
      <div className={classes(styles.choices, props.isSmall && styles.choicesSmall)}>
        {props.items.map(({ id, text }) => (
          <Radio key={id} value={id} className={styles.choice}>
            {text}
          </Radio>
        ))}
      </div>
    </RadioGroup>
  );
}
