//! Fields of the seven most important resources, in the order of the documentation.
//!
//! Subject: "Resources" of the public documentation, and the additional fields of real responses (an open schema).
//! Grammar: `[resource]`, then `name:type=value;`, where the type is one of `i` integer, `n` number, `s` string, `b`
//! boolean, `d` date, `a` array, `o` object, `x` anything, and the value is raw JSON or `@` and a generator of
//! `rows.rs`. The key and the two stamps have no value: they come from the row itself.

/// The field lists of the seven main resources.
pub(super) const MAIN: &str = r##"
[customers]
  id:i; customer_number:s=@code_empty; last_name:s=@last; first_name:s=@first; email:s=@email; phone_number:s=@phone;
  registered_at:d=@date; last_visit_at:d=@date_null; adcode:s=""; adcode_id:i=@zero_null; affiliate_id:i=@zero_null;
  customer_type_id:i=@small_null; is_no_tax_customer:b=@rare; comments:s=@comment; store_id:i=1; source:s=@source;
  search_string:s=""; no_account:b=@rare; sales_person:s=""; alternate_phone_number:s="";
  is_affiliate_customer:b=@rare; updated_at:d; created_at:d; username:s=@username;
  is_contact_information_only:b=@rare; tax_exemption_number:s=""; company:s=@company; source_group:s="";
  sales_person_user_id:i=@small_null; store_payment_methods_enabled:a=@pay_names; tax_rate:n=@rate_null;
  lock_default_address:b=@rare; reward_tier_id:i=@small_null; payment_net_term:i=@zero_null; credit_limit:n=@money;
  is_inactive:b=@rare; use_shared_credit_limit:b=@rare; override_shared_credit_limit:b=@rare;
  customer_payment_methods_availability:a=@availability; default_payment_type_name:s="Credit Card"; sub:s=@guid_empty;
[addresses]
  id:i; customer_id:i=@parent_customer; address_line_1:s=@street; address_line_2:s=@street_2; city:s=@city;
  state:s=@state; postal_code:s=@postal; country:s="United States"; is_default_shipping_address:b=@flag;
  phone:s=@phone; company:s=@company; alternate_phone:s=""; fax:s=""; comments:s=@comment;
  is_default_billing_address:b=@flag; updated_at:d; created_at:d; first_name:s=@first; last_name:s=@last;
  address_type:s=@address_type;
[orders]
  id:i; customer_id:i=@order_customer; customer_type_id:i=@zero_null; adcode:s=""; ordered_at:d=@date;
  order_status_id:i=@status_id; special_instructions:s=@comment; subtotal:n=@money; tax_total:n=@money;
  shipping_total:n=@money; discount_total:n=@zero_money; grand_total:n=@money; cost_total:n=@zero_money;
  selected_shipping_method:s=@ship_name; ip_address:s=@ip; exported_to_accounting_system:i=@bit;
  referrer:s=@url_empty; order_shipping_address_id:i=@order_ship_address;
  order_billing_address_id:i=@order_bill_address; admin_comments:s=@comment; source:s="[none]"; search_phrase:s="";
  is_ppc:b=@rare; ppc_keyword:s=""; store_id:i=1; session_id:i=@big; handling_total:n=@zero_money;
  is_payment_order_only:b=@rare; selected_shipping_provider_service:s=@ship_code; additional_fees:n=@zero_money;
  adcode_id:i=0; updated_at:d; created_at:d; is_gift:b=@rare; gift_message:s=@gift; public_comments:s="";
  instructions:s=""; source_group:s=""; from_subscription_id:i=@null_small; previous_order_status_id:i=@status_id;
  order_status_last_changed_at:d=@date; discounted_shipping_total:n=@money_null; order_number:s=@code_empty;
  coupon_code:s=@code_empty; order_type:s="Order"; expires_at:d=@null_date; expires:b=@rare;
  from_quote_id:i=@null_small; campaign_code:s=""; reward_points_credited:b=@rare; sales_agent_user_id:i=@zero_null;
  channel:s=@channel; device:s="None"; manufacturer_invoice_number:s=""; manufacturer_invoice_amount:n=@zero_money;
  manufacturer_invoice_paid:b=@rare; due_date:d=@null_date; delivery_tax:n=@zero_money; location_id:i=@null_small;
  entered_by:s=@email; entered_by_type:s=@entered_by; shipping_selections:a=@selections; affiliate_id:i=@null_small;
[order_items]
  id:i; order_id:i=@item_order; product_id:i=@small; item_number:s=@code; item_name:s=@product_name; price:n=@money;
  cost:n=@zero_money; quantity:i=@small; is_discount_item:b=@rare; weight:n=@weight; is_taxable:b=@often;
  weight_unit:s="Lbs"; is_non_shipping_item:b=@rare; variant_inventory_id:i=@null_small;
  parent_order_item_id:i=@item_parent; is_quantity_bound_to_parent:b=@rare; updated_at:d; created_at:d;
  height:n=@money_null; length:n=@money_null; width:n=@money_null; size_unit:s="In"; tax_code:s="";
  item_number_full:s=@code; admin_comments:s=@comment; do_not_discount:b=@rare; line_item_note:s="";
  order_shipping_address_id:i=@null_small; gift_message:s=@gift; delivery_date:d=@null_date;
  discount_amount:n=@zero_money; discount_percentage:n=@zero_money; is_subscription_product:b=@rare;
  warehouse_id:i=@zero_null; description:s=@comment; tax:n=@money; configuration:s=""; status:s="";
  shipping_classification_code:s=@code_empty; variants:a=@item_variants; personalizations:a=@personalizations;
  fitment:s=""; selected_shipping_method:s=@ship_name; selected_shipping_method_id:x=@text_or_small;
  selected_shipping_provider_service:s=@ship_code; shipping_total:x=@zero_money; vendor_store_id:i=@null_small;
[order_payments]
  id:i; customer_id:i=@payment_customer; order_id:i=@payment_order; customer_payment_method_id:i=@null_small;
  payment_method_id:i=@zero_null; payment_type:s=@pay_type; is_approved:b=@often; is_declined:b=@rare;
  card_type:s=@card_null; card_expiration_month:i=@month; card_expiration_year:i=@year; cardholder_name:s=@full_name;
  paid_at:d=@date_null; approved_at:s=@date_empty; authorization_code:s=@code_empty; reject_reason:s="";
  avs_code:s=""; payment_method_name:s=@pay_name; transaction_type:s=@transaction; amount:n=@money;
  payment_note:s=@comment; updated_at:d; created_at:d; gift_certificate_id:i=@null_small; is_captured:b=@flag;
  transaction_id:s=@code_empty; last_four:s=@four; is_void:b=@rare; gateway_response_code:s="";
  cvv_response_code:s=""; payment_ref_num:s=@code_empty; store_payment_method_id:i=@small_null;
  store_method_payment_id:i=0; sent_to_spark_pay:b=@rare; token:s=@guid_empty;
[order_statuses]
  id:i; name:s=@st_name; is_open:b=@st_open; is_declined:b=@st_declined; is_cancelled:b=@st_cancelled;
  is_shipped:b=@st_shipped; color:s=@color; email_template_id:i=@st_template; updated_at:d; created_at:d;
  is_fully_refunded:b=false; is_partially_refunded:b=false; is_quote_status:b=@st_quote; is_partially_shipped:b=false;
[products]
  id:i; item_number:s=@code; manufacturer_id:i=@zero_null; manufacturer_part_number:s=@code_empty;
  primary_category_id:i=@small; product_status_id:i=1; item_name:s=@product_name; bullets:s="";
  short_description:s=@comment; long_description_2:s=@html; long_description_3:s=""; long_description_4:s="";
  long_description_5:s=""; height:s=@dims; length:s=@dims; width:s=@dims; size_unit:s="In"; weight:n=@weight;
  weight_unit:s="Lbs"; cost:n=@zero_money; price:n=@money; retail:n=@money; minimum_quantity:n=@count_scale;
  maximum_quantity:n=@count_scale; is_spotlight_item:i=@bit; quantity_on_hand:i=@small; keywords:s="";
  is_non_taxable:i=@bit; is_shipped_individually:i=@bit; is_hidden:i=@bit; sort_order:i=@small;
  e_product_type:s="NotAnEProduct"; e_product_url:s=""; e_product_password:s="";
  e_product_verification_link_expiration:i=0; e_product_email:s=""; e_product_allow_multiple_deliveries:i=@bit;
  warehouse_id:i=0; call_for_shipping:i=@bit; quickbooks_item_id:s=""; call_for_pricing:i=@bit;
  rate_adjustment_type:s="AutoCalculation"; meta_description:s=""; page_title:s=@comment; use_tabs:b=@rare;
  related_name:s=""; override_theme_use_tabs:b=@rare; long_description_tab_name_1:s="";
  long_description_tab_name_2:s=""; long_description_tab_name_3:s=""; long_description_tab_name_4:s="";
  long_description_tab_name_5:s=""; long_description_1:s=@comment; is_non_shipping_item:b=@rare;
  e_product_delivery_action:s="None"; use_variant_inventory:b=@rare; is_featured_item:b=@rare;
  long_description_external_url_1:s=""; long_description_external_url_2:s=""; long_description_external_url_3:s="";
  long_description_external_url_4:s=""; long_description_external_url_5:s=""; bullets_external_url:s="";
  custom_flag_1:b=@rare; custom_flag_2:b=@rare; custom_flag_3:b=@rare; custom_flag_4:b=@rare; custom_flag_5:b=@rare;
  created_at:d; updated_at:d; url_rewrite:s=@url_empty; is_kit:b=@rare; is_child_product:b=@rare;
  is_non_inventory:b=@rare; is_discontinued:b=@rare; eta_date:d=@null_date; quantity_on_order:i=0;
  available_region_id:i=@null_small; call_for_shipping_on_whole_order:b=@rare; break_out_shipping:b=@rare;
  shipping_classification_code:s=""; exclude_parent_from_display:b=@rare; drop_ship:b=@rare; no_price_mask:s="";
  starting_quantity:i=@null_small; tax_code:s=""; use_map_pricing:b=@rare; last_item_number:s="";
  has_visible_variants:b=@rare; product_rating_dimension_group_override_id:x=@null_text_or_small;
  average_review_rating:n=@money_null; review_count:i=@null_small; exclude_children_from_display:b=@rare;
  use_pricing_from_parent:b=@rare; low_stock_warning_threshold:i=@null_small; enable_low_stock_warning:b=@rare;
  do_not_discount:b=@rare; head_tags:s=""; handling_fee:n=@money_null; custom_upsell_url:s="";
  e_product_serial_number_file_path:s=""; hide_variant_surcharges:b=@rare; quantity_increment:i=1; gtin:s=@gtin_empty;
  add_to_cart_message:s=""; is_subscription_product:b=@rare; subscription_frequency:i=@null_small;
  subscription_frequency_type:s=""; e_product_generic_username:s=""; e_product_generic_password:s="";
  shipping_override:n=@money_null; insurance_cost:n=@money_null; exclude_from_commissions:b=@rare;
  days_until_reorder_allowed:i=0; force_separate_order:b=@rare; approval_required:b=@rare;
  in_stock_notification_email_template_id:i=@null_small; inelligible_for_purchase_by_points:b=@rare;
  earns_points:b=@often; additional_points_earned:n=@null_money; allowed_variable_subscription_types:s="";
  profile_id:i=@null_small; is_linked_product:b=@rare; master_product_id:i=0; do_not_send_review_request:b=@rare;
  pack_slip_sort_order:i=0; is_enable_variants_on_parent:b=@rare; is_hide_children_on_parent:b=@rare;
  cart_product_id:s=@guid; enabled_configurator:s=""; material_code:s=""; product_line_code:s="";
  ext_update_date:d=@date_empty; additional_attributes:s=""; shipper_hq_shipping_groups:s="";
  shipper_hq_dimensional_rule_groups:s=""; shipper_hq_packing_boxes:s=""; freight_class:s=""; hs_code:s=""; coo:s="";
  hts:s=""; is_exempt_from_min_order_amount:b=@rare; category_list:s=""; supplier_id:i=@zero_null;
  vendor_store_id:i=@null_small;
"##;
